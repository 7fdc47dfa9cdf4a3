import { mkdir, rm } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { createLog, type Log } from '../../telemetry/log.ts';
import type { Change } from '../kubernetes/history.ts';
import type { PodLogs } from '../kubernetes/logs.ts';
import { type KubeObject, RESOURCES, timestamp } from '../kubernetes/object.ts';
import { referenceOf, type Store } from '../kubernetes/store.ts';
import { admitPipelineRun } from './admission.ts';
import { isDone, judge, succeeded } from './conditions.ts';
import { TektonFaults } from './faults.ts';
import { conduct, type Steering } from './pipelinerun.ts';
import { PipelineRunSpec, RunStatus } from './schema.ts';
import { report, type World } from './world.ts';

export interface TektonOptions {
  store: Store;
  logs: PodLogs;
  /** Private directory for volumes and steps. */
  dir: string;
  /** Directories before the machine's PATH; by default the project's `bin` and `.tools/bin`. */
  path?: readonly string[];
  /** Environment for every step, e.g. CA files or the directory of opm. */
  env?: Record<string, string>;
  /** Pods that run at a time. */
  places?: number;
  log?: Log;
}

export interface Tekton {
  faults: TektonFaults;
  /** Kills what runs. Runs that were not over are marked failed at the next start, as when a node is lost. */
  close(): Promise<void>;
}

/** Milliseconds between the end of a run and Chains' mark upon it. */
const SIGNING = 100;
const PROJECT = resolve(import.meta.dirname, '../../..');

/**
 * Starts the controller that really runs PipelineRuns: steps are local processes (konflux-and-gitlab.md §6.1 points 13
 * and 14). It also installs Tekton's admission. Only embedded specs run; a reference by name ends `CouldntGetPipeline`.
 */
export async function startTekton(options: TektonOptions): Promise<Tekton> {
  const {
    store,
    logs,
    dir,
    path = [join(PROJECT, 'bin'), join(PROJECT, '.tools/bin')],
    env = {},
    places = 2,
  } = options;
  const log = options.log ?? createLog('silent', 'tekton');
  const closing = new AbortController();
  const world: World = {
    store,
    logs,
    log,
    dir,
    env: { PATH: [...path, process.env.PATH ?? ''].join(delimiter), LANG: 'C.UTF-8', ...env },
    places: pLimit(places),
    closing: closing.signal,
    faults: new TektonFaults(),
  };
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await Promise.all(['runs', 'tasks'].map((name) => rm(join(dir, name), { recursive: true, force: true })));
  store.admission.push(admitPipelineRun);
  const running = new Map<string, Steering>();

  const reconcile = (run: KubeObject): void => {
    const { uid } = run.metadata;
    const { status } = PipelineRunSpec.parse(run.spec);
    const known = running.get(uid);
    if (known) known.heed(status);
    else if (isDone(run) || run.metadata.deletionTimestamp) return;
    else if (status === 'PipelineRunPending') setPending(world, run);
    else if (status === 'Cancelled' || status === 'CancelledRunFinally') cancelUnstarted(world, run);
    else start(run);
  };
  const start = (run: KubeObject): void => {
    const { uid } = run.metadata;
    const steering = conduct(world, run);
    running.set(uid, steering);
    log.info({ run: run.metadata.name }, 'started');
    steering.done
      .then(() => sign(world, run))
      .catch((err: unknown) => {
        log.error({ err, run: run.metadata.name }, 'the run broke the controller');
        report(world, RESOURCES.pipelineruns, referenceOf(run), (copy) =>
          judge(copy, { status: 'False', reason: 'InternalError', message: String(err) }),
        );
      })
      .finally(() => running.delete(uid));
  };

  const onChange = ({ resource, type, object }: Change): void => {
    if (resource === RESOURCES.pods && type === 'DELETED') logs.forget(object.metadata.uid);
    if (resource !== RESOURCES.pipelineruns) return;
    if (type === 'DELETED') {
      running.get(object.metadata.uid)?.abandon('deleted');
      return;
    }
    // Later, and looked up anew: the writer must get its answer before the controller writes.
    setImmediate(() => {
      const current = closing.signal.aborted ? undefined : store.find(resource, referenceOf(object));
      if (current) reconcile(current);
    });
  };
  for (const run of store.list(RESOURCES.pipelineruns)) {
    if (RunStatus.parse(run.status ?? {}).startTime !== undefined && !isDone(run)) markLost(world, run);
    else reconcile(run);
  }
  const unsubscribe = store.subscribe(onChange);

  return {
    faults: world.faults,
    async close() {
      unsubscribe();
      closing.abort();
      const all = [...running.values()];
      for (const steering of all) steering.abandon('shutdown');
      await Promise.allSettled(all.map(({ done }) => done));
      store.admission.splice(store.admission.indexOf(admitPipelineRun), 1);
    },
  };
}

/** Chains' mark: a patch that comes after the end (konflux-and-gitlab.md §1.3, §3.6). */
async function sign(world: World, run: KubeObject): Promise<void> {
  await sleep(SIGNING, undefined, { signal: world.closing, ref: false }).catch(() => {});
  const current = world.closing.aborted ? undefined : world.store.find(RESOURCES.pipelineruns, referenceOf(run));
  if (current === undefined || !isDone(current)) return;
  report(
    world,
    RESOURCES.pipelineruns,
    referenceOf(run),
    ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, 'chains.tekton.dev/signed': 'true' };
    },
    'object',
  );
}

function setPending(world: World, run: KubeObject): void {
  const { name } = run.metadata;
  if (succeeded(run)?.reason === 'PipelineRunPending') return;
  report(world, RESOURCES.pipelineruns, referenceOf(run), (copy) =>
    judge(copy, { status: 'Unknown', reason: 'PipelineRunPending', message: `PipelineRun "${name}" is pending` }),
  );
}

function cancelUnstarted(world: World, run: KubeObject): void {
  const { name } = run.metadata;
  report(world, RESOURCES.pipelineruns, referenceOf(run), (copy) => {
    judge(copy, { status: 'False', reason: 'Cancelled', message: `PipelineRun "${name}" was cancelled` });
    Object.assign(copy.status as object, { startTime: timestamp(), completionTime: timestamp() });
  });
}

/** The pods of this run died with the sandbox: it ends failed, as on a node that was lost. */
function markLost(world: World, run: KubeObject): void {
  const owned = (object: KubeObject) => object.metadata.labels?.['tekton.dev/pipelineRun'] === run.metadata.name;
  const { namespace } = run.metadata;
  for (const pod of world.store.list(RESOURCES.pods, namespace).filter(owned)) {
    report(world, RESOURCES.pods, referenceOf(pod), (copy) => {
      const phase = (copy.status as { phase?: string }).phase;
      if (phase === 'Pending' || phase === 'Running')
        copy.status = { ...(copy.status as object), phase: 'Failed', reason: 'NodeLost' };
    });
  }
  const taskRuns = world.store.list(RESOURCES.taskruns, namespace).filter(owned);
  for (const taskRun of taskRuns.filter((object) => !isDone(object))) {
    report(world, RESOURCES.taskruns, referenceOf(taskRun), (copy) => {
      judge(copy, { status: 'False', reason: 'Failed', message: 'the node of the pod was lost' });
      Object.assign(copy.status as object, { completionTime: timestamp() });
    });
  }
  const good = taskRuns.filter((object) => succeeded(object)?.status === 'True').length;
  const bad = taskRuns.length - good;
  report(world, RESOURCES.pipelineruns, referenceOf(run), (copy) => {
    const message = `Tasks Completed: ${taskRuns.length} (Failed: ${bad}, Cancelled 0), Skipped: 0`;
    judge(copy, { status: 'False', reason: 'Failed', message });
    Object.assign(copy.status as object, { completionTime: timestamp() });
  });
}
