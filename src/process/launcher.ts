import { type ChildProcess, fork } from 'node:child_process';
import { resolve } from 'node:path';
import { z } from 'zod';
import { type Child, type Command, type Ended, endedBy, startHere } from './child.ts';

/** What the launcher is told. */
export type Order = { id: number; command: Command } | { id: number; kill: true };

/** What it tells. */
export interface News {
  id: number;
  ended: Ended;
}

const Output = z
  .instanceof(Uint8Array)
  .transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
const News = z.object({
  id: z.number(),
  ended: z.object({
    exitCode: z.number().nullable(),
    signal: z.string().nullable(),
    stdout: Output,
    stderr: Output,
    error: z.string().exactOptional(),
  }),
});

/**
 * Bytes of memory from which on children are started beside. To start a child, the system copies the tables of all
 * memory of the process that starts it, which stands still meanwhile: 2 ms at 50 MB, 11 ms at 150 MB, 20 ms at 300 MB.
 */
const HEAVY = 120 * 1024 * 1024;

/** The process beside this one, if there is one. */
let launcher: Launcher | undefined;

interface Launcher {
  process: ChildProcess;
  start(command: Command): Child;
}

/** Starts a child of this process, or of a small one beside it once this one has grown heavy. */
export function start(command: Command): Child {
  return launcher === undefined && process.memoryUsage.rss() < HEAVY ? startHere(command) : startBeside(command);
}

/**
 * Starts a child of a small process beside this one, which ends with this one, and all its children with it. Should it
 * end before, they have ended by SIGKILL, and the next one is started by a new one.
 */
export function startBeside(command: Command): Child {
  launcher ??= openLauncher();
  return launcher.start(command);
}

/** The id of the process beside, for those who look on. */
export const launcherPid = (): number | undefined => launcher?.process.pid;

function openLauncher(): Launcher {
  // Not of our process group: Ctrl-C is for us alone, and what we still run may be wanted until we stop.
  const beside = fork(resolve(import.meta.dirname, 'launcher-process.ts'), {
    serialization: 'advanced',
    execArgv: [],
    detached: true,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (ended: Ended) => void>();
  const settle = (id: number, ended: Ended) => {
    waiting.get(id)?.(ended);
    waiting.delete(id);
    if (waiting.size === 0) beside.channel?.unref();
  };
  beside.on('message', (message) => {
    const { id, ended } = News.parse(message);
    settle(id, ended);
  });
  const lost = () => {
    if (launcher?.process === beside) launcher = undefined;
    for (const id of waiting.keys()) settle(id, endedBy('SIGKILL'));
  };
  for (const end of ['error', 'disconnect', 'exit']) beside.on(end, lost);
  // It keeps us alive while somebody waits for a child, and not else.
  beside.unref();
  beside.channel?.unref();
  const tell = (order: Order) => beside.connected && beside.send(order, () => {});
  let last = 0;
  return {
    process: beside,
    start(command) {
      last += 1;
      const id = last;
      const ended = new Promise<Ended>((resolve) => waiting.set(id, resolve));
      beside.channel?.ref();
      tell({ id, command });
      return { ended, kill: () => void tell({ id, kill: true }) };
    },
  };
}
