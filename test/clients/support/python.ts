import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { FrontEnd } from './front-end.ts';

const SCRIPT = resolve(import.meta.dirname, '../../../scripts/python-clients.sh');
const MODULES = join(import.meta.dirname, 'python');

const prepared = spawnSync(SCRIPT, { encoding: 'utf8' });
const missing = prepared.status === 0 ? false : prepared.stderr.trim().split('\n').at(-1) || 'python-clients.sh failed';
if (missing !== false && process.env.CI === 'true') throw new Error(missing);
const venv = prepared.stdout.trim();

/** Why the Python clients are not here, or false when they are. */
export const noPythonClients: string | false = missing;

export interface IibLib {
  /** Makes a call of iiblib; see python/call.py. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  call(call: string, args?: object, more?: { wait?: boolean; auth?: string; turn?: string[] }): Promise<any>;
  close(): Promise<void>;
}

/** iiblib in a process of its own, talking to the service by way of the front end. */
export function iiblib(front: FrontEnd, principal: string): IibLib {
  const { env, remove } = surroundings(front, principal);
  const child = spawn(join(venv, 'bin/python'), [join(MODULES, 'call.py'), front.host], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  return {
    call(call, args, more = {}) {
      const answered = turn.then(async () => {
        child.stdin.write(`${JSON.stringify({ call, ...(args ? { args } : {}), ...more })}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error('iiblib has ended');
        return JSON.parse(value);
      });
      turn = answered;
      return answered;
    },
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
      remove();
    },
  };
}

export interface Ran {
  code: number;
  stderr: string;
}

/** Runs a command of pubtools-iib. */
export async function pubtools(front: FrontEnd, principal: string, command: string, args: string[]): Promise<Ran> {
  const { env, dir, remove } = surroundings(front, principal);
  try {
    return await new Promise((done) => {
      const all = ['--iib-server', front.host, '--iib-krb-principal', principal, ...args];
      execFile(join(venv, 'bin', command), all, { env, cwd: dir }, (failure, _stdout, stderr) =>
        done({ code: failure === null ? 0 : Number(failure.code ?? 1), stderr }),
      );
    });
  } finally {
    remove();
  }
}

/** `klist` says that there is a ticket, so that the clients never run `kinit`. */
function surroundings({ caFile }: FrontEnd, principal: string) {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-python-'));
  writeFileSync(join(dir, 'klist'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  const env = {
    PATH: `${dir}:${process.env.PATH}`,
    HOME: dir,
    PYTHONPATH: MODULES,
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONWARNINGS: 'ignore',
    REQUESTS_CA_BUNDLE: caFile,
    KERBEROS_PRINCIPAL: principal,
  };
  return { dir, env, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
