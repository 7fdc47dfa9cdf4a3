import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, run, type TaskList, type WorkerEvents } from 'graphile-worker';
import { Pool } from 'pg';
import { describe } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { WorkerState } from './heartbeat.ts';
import { holdPulse, sweep } from './liveness.ts';

export interface RunnerOptions {
  databaseUrl: string;
  /** Jobs at once; most of their time they wait, so this is no measure of CPU. */
  concurrency: number;
  log: Log;
  /** The tasks, told when this process loses its right to work: what it runs then must stop. */
  tasks(lost: AbortSignal): TaskList;
  /** Told when jobs begin to be taken, and when they are not any more. */
  onState?(state: WorkerState): void;
}

export interface Runner {
  /** Lets no new job start, aborts the running ones (they resume from their journal) and waits for them. */
  stop(): Promise<void>;
}

/** Waits between two runs of graphile-worker in a process whose database went away. */
const RESTART_AFTER = 500;
/**
 * Milliseconds between two looks for jobs that nobody announces: those whose time has come, those of workers that died.
 * One of the places looks for all; graphile-worker would have each of them look, which is what its own interval is for.
 */
const LOOK_EVERY = 250;
const LOOK_ALL_EVERY = 10_000;
/** graphile-worker's own queries are short; on a line that is dead they must not keep it from ending. */
const QUERY_TIMEOUT = 15_000;

/**
 * Runs jobs until stopped, through restarts of the database. graphile-worker 0.18 is tamed as feasibility.md §3
 * measured: batching off (else finished jobs stay locked), a nudge when a named queue is freed (else it waits a whole
 * look), a new runner whenever one ends by itself or its jobs have ended after it lost the database, and our own pulse
 * for crashed workers.
 */
export function startRunner(options: RunnerOptions): Runner {
  const stopping = new AbortController();
  const done = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await runOnce(options, stopping.signal);
      } catch (thrown) {
        options.log.warn(`worker stopped by itself and starts again: ${describe(thrown)}`);
      }
      await sleep(RESTART_AFTER, undefined, { signal: stopping.signal }).catch(() => {});
    }
  })();
  return {
    async stop() {
      stopping.abort(new Error('the worker is stopping'));
      await done;
    },
  };
}

async function runOnce(options: RunnerOptions, stopping: AbortSignal): Promise<void> {
  const { databaseUrl, concurrency, log, tasks, onState = () => {} } = options;
  const pgPool = new Pool({
    connectionString: databaseUrl,
    max: concurrency + 3,
    connectionTimeoutMillis: 5000,
    query_timeout: QUERY_TIMEOUT,
  });
  pgPool.on('error', (err) => log.debug({ err }, 'idle connection lost'));
  pgPool.on('connect', (client) => client.on('error', (err) => log.debug({ err }, 'connection lost')));

  const lost = new AbortController();
  const jobs = new Jobs(tasks(AbortSignal.any([lost.signal, stopping])), lost.signal);
  const events = new EventEmitter() as WorkerEvents;
  const pulses: Promise<() => void>[] = [];
  const looks: NodeJS.Timeout[] = [];
  events.on('pool:create', ({ workerPool }) => {
    const look = () => {
      try {
        workerPool.nudge(1);
      } catch (err) {
        // A pool whose workers have ended refuses it.
        log.debug({ err }, 'the worker pool has ended');
      }
    };
    looks.push(setInterval(look, LOOK_EVERY));
    // Where one was due, others may be.
    events.on('job:start', look);
    events.on('job:complete', ({ job }) => {
      if (job.job_queue_id !== null) for (const delay of [5, 25]) setTimeout(look, delay);
    });
    events.on('pool:fatalError', ({ error }) =>
      lost.abort(new Error('the end of a job could not be written down', { cause: error })),
    );
    const pulse = holdPulse(databaseUrl, workerPool.id, () =>
      lost.abort(new Error('the database connection was lost')),
    );
    pulse.catch(() => lost.abort(new Error('the database cannot be reached')));
    pulses.push(pulse);
  });
  // A job that is taken before the pulse is there looks like a dead worker's to the next sweep.
  const pulseFirst: GraphileConfig.Plugin = {
    name: 'PulseFirst',
    version: '1',
    worker: { hooks: { startWorker: async () => void (await Promise.all(pulses)) } },
  };

  let stopSweeping = () => {};
  try {
    const runner = await run({
      pgPool,
      concurrency,
      events,
      taskList: jobs.tasks,
      noHandleSignals: true,
      pollInterval: LOOK_ALL_EVERY,
      logger: new Logger(
        () => (level, message) => log[level === 'error' ? 'warn' : 'debug'](`graphile-worker: ${message}`),
      ),
      preset: {
        plugins: [pulseFirst],
        worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0, gracefulShutdownAbortTimeout: 1000 },
      },
    });
    stopSweeping = sweep(pgPool, log);
    log.info('worker is ready');
    onState('ready');
    const ending = AbortSignal.any([lost.signal, stopping]);
    const stop = () => void runner.stop().catch(() => {});
    ending.addEventListener('abort', stop);
    // Either may have come while the runner was starting.
    if (ending.aborted) stop();
    await Promise.race([runner.promise, jobs.over]);
  } finally {
    onState('waiting');
    stopSweeping();
    for (const look of looks) clearInterval(look);
    lost.abort(new Error('this worker pool has ended'));
    for (const pulse of pulses) await pulse.then((release) => release()).catch(() => {});
    // Not waited for: on a line that is dead it would never end.
    pgPool.end().catch(() => {});
  }
}

/** The jobs of one run of graphile-worker. */
class Jobs {
  readonly tasks: TaskList;
  /**
   * When the run's right to work is lost and its last job has ended. graphile-worker's own promise may not come then: a
   * failed completion and another one after it make it wait for ever, and a worker that met a closing database sleeps
   * and takes jobs later.
   */
  readonly over: Promise<unknown>;
  readonly #running = new Set<Promise<unknown>>();

  constructor(tasks: TaskList, lost: AbortSignal) {
    this.tasks = Object.fromEntries(
      Object.entries(tasks).map(([name, task = () => {}]) => [
        name,
        async (payload, helpers) => {
          lost.throwIfAborted();
          const job = Promise.resolve(task(payload, helpers));
          this.#running.add(job);
          await job.finally(() => this.#running.delete(job));
        },
      ]),
    );
    this.over = once(lost, 'abort').then(() => Promise.allSettled(this.#running));
  }
}
