import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** A request to an api process. */
export interface Sent {
  method: string;
  path: string;
  body?: () => string;
  headers?: Record<string, string>;
}

/** The api as a process of its own, so that its memory and the turns of its event loop are its alone. */
export interface ApiProcess {
  url: string;
  send(sent: Sent): Promise<{ status: number; text: string }>;
  /** The most memory it has had, in bytes. */
  peakRss(): number;
  /** Lines of its log that tell of errors. */
  errors(): string[];
  stop(): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, '../../..');
export const WORKER = 'worker@EXAMPLE.COM';

/** Starts `indexwright api` on a database that is there; a free port is taken. */
export async function spawnApi(databaseUrl: string): Promise<ApiProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-api-'));
  writeFileSync(join(dir, 'secret-key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const config = {
    databaseUrl,
    secretKeyFile: join(dir, 'secret-key'),
    stateDir: join(dir, 'state'),
    logLevel: 'info',
    api: { port: 0, workerUsers: [WORKER], maxPerPage: 50 },
    registry: { output: 'reg.example.com', artifactRegistry: 'reg.example.com/artifacts' },
    cluster: {
      url: 'http://127.0.0.1:9',
      namespace: 'test',
      tokenFile: join(dir, 'token'),
      caFile: join(dir, 'ca.crt'),
    },
    opm: { versions: {}, default: 'opm' },
  };
  writeFileSync(join(dir, 'config.yaml'), JSON.stringify(config));
  const child = spawn(join(ROOT, 'bin/indexwright'), ['api', '--config', join(dir, 'config.yaml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const url = await firstUrl(child, lines);
  return {
    url,
    async send({ method, path, body, headers }) {
      const answer = await fetch(url + path, {
        method,
        headers: { 'x-remote-user': WORKER, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: body() }),
      });
      return { status: answer.status, text: await answer.text() };
    },
    peakRss: () => peakRss(child.pid ?? 0),
    errors: () => lines.filter((line) => !line.startsWith('{') || JSON.parse(line).level >= 50),
    async stop() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function firstUrl(child: ChildProcess, lines: string[]): Promise<string> {
  return new Promise((found, failed) => {
    child.once('exit', () => failed(new Error(`the api ended:\n${lines.join('\n')}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on('line', (line) => {
        lines.push(line);
        const [, url] = /"url":"(http:[^"]+)"/.exec(line) ?? [];
        if (url !== undefined) found(url);
      });
    }
  });
}

function peakRss(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
