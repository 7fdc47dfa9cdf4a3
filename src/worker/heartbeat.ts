import { rmSync, writeFileSync } from 'node:fs';
import type { Log } from '../telemetry/log.ts';

/** Milliseconds between two writes; a probe should allow for many times that. */
const EVERY = 5000;

/** `waiting` for the database, or `ready`: jobs are taken. */
export type WorkerState = 'waiting' | 'ready';

export interface Heartbeat {
  /** Says what the worker does from now on. */
  say(state: WorkerState): void;
  /** Ends it and removes the file. */
  stop(): void;
}

/**
 * Writes what the worker does to a file, at once, at each change and every five seconds: for probes that ask whether
 * its process still turns. That the database answers is no part of it; the worker waits for a database that is away.
 *
 * @param file none when absent; one that cannot be written is warned of once
 */
export function startHeartbeat(file: string | undefined, log: Log): Heartbeat {
  if (file === undefined) return { say() {}, stop() {} };
  let state: WorkerState = 'waiting';
  let complained = false;
  const beat = () => {
    try {
      writeFileSync(file, `${state}\n`);
    } catch (err) {
      if (!complained) log.warn({ err }, 'the file of worker.heartbeatFile cannot be written');
      complained = true;
    }
  };
  beat();
  const timer = setInterval(beat, EVERY);
  // It reports on the process and is no reason for it to go on.
  timer.unref();
  return {
    say(now) {
      state = now;
      beat();
    },
    stop() {
      clearInterval(timer);
      rmSync(file, { force: true });
    },
  };
}
