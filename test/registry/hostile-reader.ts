/**
 * A process of its own that reads from registries as the worker does, and tells what became of it, so that its memory and
 * its event loop are those of the reader alone: `node hostile-reader.ts '[{"host": …, "work": …}, …]'`.
 */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure } from '../../src/errors/failure.ts';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';

export interface Task {
  host: string;
  /** `large upload` is one of 256 MiB. */
  work: 'labels' | 'digest' | 'arches' | 'blob' | 'upload' | 'large upload';
  /** Whether the registry is spoken to over plain HTTP, over TLS as one of ours, or as a stranger's. */
  as: 'insecure' | 'trusted' | 'stranger';
  /** Milliseconds. */
  callTimeout: number;
  /** Milliseconds. */
  total: number;
}

export interface Told {
  /** `read`, or the failure's code. */
  outcomes: string[];
  messages: string[];
  /** Milliseconds of each. */
  times: number[];
  /** MiB. */
  peak: number;
  /** Milliseconds of CPU of the longest turn of the event loop, so that a busy machine makes it no longer. */
  longestTurn: number;
}

const ZEROS = 256 * 1024 * 1024;
const SOME = { digest: `sha256:${'0'.repeat(64)}`, size: 10 ** 12 };

async function carryOut({ host, work, as, callTimeout, total }: Task, dir: string): Promise<void> {
  const client = createRegistryClient({
    auth: noCredentials,
    insecure: as === 'insecure' ? [host] : [],
    rules: { trusted: as === 'trusted' ? [host] : [] },
    callTimeout,
    transfer: { minimumRate: 1024, total },
  });
  const spec = `${host}/ns/image:tag`;
  switch (work) {
    case 'labels':
      await client.labels(spec);
      return;
    case 'digest':
      await client.resolve(spec);
      return;
    case 'arches':
      await client.arches(spec);
      return;
    case 'blob':
      for await (const _ of await client.blob(`${host}/ns/image`, SOME));
      return;
    case 'upload':
      return client.uploadBlob(`${host}/ns/image`, { ...SOME, size: 2, bytes: Buffer.from('{}') });
    case 'large upload': {
      const path = join(dir, 'zeros');
      await writeFile(path, '');
      await truncate(path, ZEROS);
      return client.uploadBlob(`${host}/ns/image`, { ...SOME, size: ZEROS, path });
    }
  }
}

const tasks = JSON.parse(process.argv[2] ?? '[]') as Task[];
const dir = await mkdtemp(join(tmpdir(), 'indexwright-hostile-'));
let longestTurn = 0;
let before = process.threadCpuUsage();
const watch = setInterval(() => {
  const { user, system } = process.threadCpuUsage(before);
  longestTurn = Math.max(longestTurn, (user + system) / 1000);
  before = process.threadCpuUsage();
}, 2);
const results = await Promise.all(
  tasks.map(async (task) => {
    const start = performance.now();
    const thrown: unknown = await carryOut(task, dir).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const time = Math.round(performance.now() - start);
    if (thrown === undefined) return { outcome: 'read', message: '', time };
    const failure = asFailure(thrown);
    const cause = failure.code === 'unexpected' ? String(failure.cause) : '';
    return { outcome: failure.code, message: `${failure.message} ${cause}`, time };
  }),
);
// So that the last turn is looked at as well.
await sleep(20);
clearInterval(watch);
await rm(dir, { recursive: true, force: true });
const told: Told = {
  outcomes: results.map(({ outcome }) => outcome),
  messages: results.map(({ message }) => message),
  times: results.map(({ time }) => time),
  peak: Math.round(process.resourceUsage().maxRSS / 1024),
  longestTurn: Math.round(longestTurn),
};
process.stdout.write(JSON.stringify(told), () => process.exit(0));
