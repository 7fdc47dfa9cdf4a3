import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { resolve } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { dyingWithUs, killedWithUs } from '../process/dying.ts';

/** Shared by all programs of all sandboxes of a checkout: compiling the sources anew at each start is most of the start. */
const COMPILE_CACHE = resolve(import.meta.dirname, '../../node_modules/.cache/compile');

/** The environment of our own programs in which they start fastest. */
export const QUICK_START = { NODE_COMPILE_CACHE: COMPILE_CACHE, INDEXWRIGHT_NODE: process.execPath };

export interface RunningProgram {
  pid: number;
  /** Ends it with SIGTERM, after `grace` milliseconds with SIGKILL, and waits until it is gone. */
  stop(grace?: number): Promise<void>;
  /** kill -9, as a crash would. */
  kill(): Promise<void>;
  /** Resolves with the exit code (null when a signal ended it). */
  ended: Promise<number | null>;
}

/**
 * Starts a long-running program whose output goes to a file. It ends with this process.
 *
 * @param ready resolves when the program is of use; if the program ends first, this fails with the end of its output
 */
export async function startProgram({
  name,
  file,
  args,
  env,
  log,
  ready,
}: {
  name: string;
  file: string;
  args: string[];
  env: Record<string, string>;
  log: string;
  ready(signal: AbortSignal): Promise<void>;
}): Promise<RunningProgram> {
  const output = openSync(log, 'a', 0o600);
  const child = spawn(...dyingWithUs(file, args), { env, stdio: ['ignore', output, output] });
  const ended = endOf(child);
  const killNow = () => void child.kill('SIGKILL');
  killedWithUs(killNow, ended);

  const waiting = new AbortController();
  const endedEarly = ended.then((code) => {
    throw new Failure('process_failed', `${name} ended with ${code ?? 'a signal'} before it was ready: see ${log}`);
  });
  try {
    await Promise.race([ready(waiting.signal), endedEarly]);
  } catch (thrown) {
    killNow();
    throw thrown;
  } finally {
    waiting.abort();
    endedEarly.catch(() => {});
  }

  return {
    pid: child.pid as number,
    ended,
    async stop(grace = 20_000) {
      child.kill('SIGTERM');
      const timer = setTimeout(killNow, grace);
      await ended;
      clearTimeout(timer);
    },
    async kill() {
      killNow();
      await ended;
    },
  };
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.once('error', () => resolve(127));
  });
}
