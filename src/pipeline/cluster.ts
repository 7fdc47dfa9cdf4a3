import type { ClusterConfig } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import { connect } from './connection.ts';
import { failureExcerpt } from './excerpt.ts';
import { createFeed } from './feed.ts';
import { type Find, findRun } from './find.ts';
import { type Ended, type Follow, waitForEnd } from './follow.ts';
import type { Run } from './model.ts';
import { cancelRun, currentVersion } from './runs.ts';

export interface ClusterOptions {
  /** Milliseconds one call may take. */
  call: number;
  /** Milliseconds between looks at a run nothing is heard of; the watch makes news come at once. */
  poll: number;
  log: Log;
}

/** The PipelineRuns of one namespace (konflux-and-gitlab.md §2, request-handling.md §6). */
export interface Cluster {
  /** Waits until a run for the commit exists; see find.ts for its failures. */
  findRun(find: Find): Promise<Run>;
  /** Waits for a run's end and gives its image; see follow.ts for its failures. */
  waitForEnd(run: Run, follow: Follow): Promise<Ended>;
  /** Asks Tekton to end the run; see runs.ts for its failures. */
  cancelRun(run: Run, signal?: AbortSignal): Promise<void>;
  /** The end of the first failing step's log, or null; never fails for reasons of the cluster. */
  failureExcerpt(run: { name: string }, signal?: AbortSignal): Promise<string | null>;
  /** Passes when runs can be listed: the readiness probe. Failures: `kubernetes_denied`, `kubernetes_unavailable`. */
  check(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * A client of one cluster and namespace. Make one per process: all who wait share its watch, which runs only while
 * somebody waits. Nothing is loaded or sent before the first call.
 */
export function createCluster(target: ClusterConfig, { call, poll, log }: ClusterOptions): Cluster {
  const connection = connect(target, { call });
  const world = { connection, feed: createFeed(connection, log), poll };
  return {
    findRun: (find) => findRun(world, find),
    waitForEnd: (run, follow) => waitForEnd(world, run, follow),
    failureExcerpt: (run, signal) => failureExcerpt(connection, run, log, signal),
    async check(signal) {
      await currentVersion(connection, signal);
    },
    cancelRun: (run, signal) => cancelRun(connection, run, signal),
    close: () => connection.close(),
  };
}
