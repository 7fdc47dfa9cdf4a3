import { join } from 'node:path';
import type { Log } from '../../telemetry/log.ts';
import type { FaultTaker } from './faults.ts';
import type { MergeRequest, Project } from './records.ts';
import type { Release } from './release.ts';
import type { Store } from './store.ts';

/** What every part of the imitation works with. */
export interface World {
  /** Where the server answers, without a slash at the end. */
  url: string;
  dir: string;
  store: Store;
  faults: FaultTaker;
  background: Background;
  log: Log | undefined;
  release: Release;
  /** Milliseconds until the next push is processed. */
  pushDelay(): number;
  /** Whether a merge request that can be merged is to be checked once more although nothing has changed. */
  doubts(): boolean;
  /** Runs the work when no other work on the project's repository is under way. */
  alone<T>(project: Project, work: () => Promise<T>): Promise<T>;
  /** The checks of mergeability under way; a check whose token is gone from here is out of date. */
  checks: Map<MergeRequest, symbol>;
}

/** The bare repository of a project; named by id, so that a project can be renamed. */
export const repositoryOf = (world: World, project: Project): string =>
  join(world.dir, 'repositories', `${project.id}.git`);

/** Work that goes on after the answer was sent, as Sidekiq's jobs do. */
export interface Background {
  /** Starts the work soon; what it throws is logged. */
  start(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** Counts work that somebody else has started and looks after. */
  watch(work: Promise<unknown>): void;
  /** Aborted when the server stops. */
  signal: AbortSignal;
  /** Resolves once nothing is under way any more. */
  settled(): Promise<void>;
  /** Aborts what can be aborted, starts nothing any more, waits for the rest. */
  stop(): Promise<void>;
}

/** A place for background work; `onError` gets what a piece of work threw. */
export function createBackground(onError: (name: string, thrown: unknown) => void): Background {
  const under = new Set<Promise<unknown>>();
  const stopping = new AbortController();
  const settled = async () => {
    while (under.size > 0) await Promise.all(under);
  };
  const watch = (work: Promise<unknown>) => {
    const job = work.catch(() => {}).finally(() => void under.delete(job));
    under.add(job);
  };
  return {
    watch,
    signal: stopping.signal,
    start(name, work) {
      if (stopping.signal.aborted) return;
      const soon = new Promise<void>((resolve) => setImmediate(resolve));
      watch(
        soon
          .then(() => work(stopping.signal))
          .catch((thrown) => {
            if (!stopping.signal.aborted) onError(name, thrown);
          }),
      );
    },
    settled,
    async stop() {
      stopping.abort();
      await settled();
    },
  };
}

/** Gives each key a queue: work on one key runs one after the other. */
export function createQueues<K>(): <T>(key: K, work: () => Promise<T>) => Promise<T> {
  const tails = new Map<K, Promise<unknown>>();
  return (key, work) => {
    const before = tails.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    const tail = mine.catch(() => {});
    tails.set(key, tail);
    void tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return mine;
  };
}

/** Now, as GitLab writes moments. */
export const now = (): string => new Date().toISOString();
