import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FrontEnd } from './front-end.ts';
import { answering, MODULES, pythonClients } from './virtual-environment.ts';

const { missing, venv } = pythonClients('iib');

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
  const iib = answering(child);
  return {
    call: (call, args, more = {}) => iib.ask(JSON.stringify({ call, ...(args ? { args } : {}), ...more })),
    async close() {
      await iib.close();
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
