import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type KubeObject, RESOURCES, timestamp } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import { createTaskRun } from './child.ts';
import { type Interruption, judge, summary, type Verdict } from './conditions.ts';
import { parseDuration } from './duration.ts';
import { unfit } from './fitness.ts';
import { childName } from './naming.ts';
import { outcomeOf, type RunOutcome } from './outcome.ts';
import { planTask, runParams } from './plan.ts';
import { decide, type Mood, type Progress, tally, taskVariables } from './progress.ts';
import { PipelineRunSpec, type PipelineSpec, type PipelineTask, type Value } from './schema.ts';
import { firstOf, from, type Lookup, substitute } from './substitution.ts';
import { runTask } from './taskrun.ts';
import { report, type World } from './world.ts';

/** How a running PipelineRun is steered from outside. */
export interface Steering {
  /** Heeds `spec.status` as it is now. */
  heed(status: string | undefined): void;
  /** Stops without a report: the run has been deleted or the sandbox ends. */
  abandon(reason: 'deleted' | 'shutdown'): void;
  done: Promise<void>;
}

/** Starts a PipelineRun that is not pending, and steers it to its end (konflux-and-gitlab.md §2). */
export function conduct(world: World, run: KubeObject): Steering {
  const conductor = new Conductor(world, run);
  return {
    heed: (status) => conductor.heed(status),
    abandon: (reason) => conductor.abandon(reason),
    done: conductor.conduct(),
  };
}

class Conductor {
  readonly #world: World;
  readonly #run: KubeObject;
  readonly #spec: PipelineRunSpec;
  readonly #pipeline: PipelineSpec;
  readonly #params: Map<string, Value>;
  readonly #progress: Progress[];
  readonly #lookup: Lookup;
  readonly #running = new Map<Progress, Promise<void>>();
  readonly #everything = new AbortController();
  readonly #tasks = new AbortController();
  #mood: Mood = { stopping: 'no' };
  #nudge = () => {};
  /** How the run ends without its tasks having a say in it. */
  #decided: RunOutcome | undefined;

  constructor(world: World, run: KubeObject) {
    this.#world = world;
    this.#run = run;
    this.#spec = PipelineRunSpec.parse(run.spec);
    this.#pipeline = this.#spec.pipelineSpec ?? { params: [], workspaces: [], tasks: [], finally: [], results: [] };
    this.#params = runParams(this.#spec);
    const waiting = (phase: Progress['phase']) => (task: PipelineTask) =>
      ({ task, phase, state: 'waiting', results: new Map() }) satisfies Progress;
    this.#progress = [...this.#pipeline.tasks.map(waiting('tasks')), ...this.#pipeline.finally.map(waiting('finally'))];
    const { name, namespace = '', uid } = run.metadata;
    this.#lookup = firstOf(
      from('params', this.#params),
      taskVariables(this.#progress),
      from(
        'context',
        new Map<string, Value>([
          ['pipelineRun', { name, namespace, uid }],
          ['pipeline', { name }],
        ]),
      ),
    );
  }

  heed(status: string | undefined): void {
    if (status === 'Cancelled') this.#everything.abort('cancelled' satisfies Interruption);
    if (status === 'CancelledRunFinally' && this.#mood.stopping === 'no') {
      this.#mood = { stopping: 'gracefully cancelled' };
      this.#tasks.abort('cancelled gracefully' satisfies Interruption);
    }
    if (status === 'StoppedRunFinally' && this.#mood.stopping === 'no') this.#mood = { stopping: 'gracefully stopped' };
    this.#nudge();
  }

  abandon(reason: 'deleted' | 'shutdown'): void {
    this.#everything.abort(reason satisfies Interruption);
    this.#nudge();
  }

  async conduct(): Promise<void> {
    const timers = this.#begin();
    try {
      const verdict = unfit(this.#run, this.#spec, this.#params);
      this.#decided = verdict ? { verdict, results: [] } : this.#world.faults.takeEnding();
      await this.#work('tasks');
      await this.#work('finally');
      await Promise.all(this.#running.values());
    } finally {
      for (const timer of timers) clearTimeout(timer);
      await rm(join(this.#world.dir, 'runs', this.#run.metadata.uid), { recursive: true, force: true });
    }
    this.#end();
  }

  #begin(): NodeJS.Timeout[] {
    this.#report((copy) => {
      const { labels = {}, name } = copy.metadata;
      copy.metadata.labels = { ...labels, 'tekton.dev/pipeline': labels['tekton.dev/pipeline'] ?? childName(name, '') };
    }, 'object');
    this.#report((copy) => {
      copy.status = { startTime: timestamp(), pipelineSpec: (copy.spec as { pipelineSpec?: unknown }).pipelineSpec };
      judge(copy, { status: 'Unknown', reason: 'Started', message: '' });
    });
    const after = (text: string | undefined, act: () => void) => {
      const limit = parseDuration(text ?? '0') ?? 0;
      return limit > 0 ? [setTimeout(act, limit)] : [];
    };
    const { pipeline, tasks } = this.#spec.timeouts;
    return [
      ...after(pipeline, () => {
        this.#everything.abort('pipeline timeout' satisfies Interruption);
        this.#nudge();
      }),
      ...after(tasks, () => {
        if (this.#mood.stopping !== 'no' || !this.#open('tasks')) return;
        this.#mood = { stopping: 'tasks timeout' };
        this.#tasks.abort('tasks timeout' satisfies Interruption);
        this.#nudge();
      }),
    ];
  }

  #open(phase: Progress['phase']): boolean {
    return this.#progress.some(
      (progress) => progress.phase === phase && ['waiting', 'running'].includes(progress.state),
    );
  }

  async #work(phase: Progress['phase']): Promise<void> {
    while (!this.#everything.signal.aborted && this.#decided === undefined) {
      const nudged = new Promise<void>((resolve) => {
        this.#nudge = resolve;
      });
      for (const progress of this.#progress) {
        if (progress.phase === phase && progress.state === 'waiting') this.#settle(progress);
      }
      this.#publish();
      if (!this.#open(phase)) return;
      await Promise.race([nudged, ...this.#running.values()]);
    }
  }

  #settle(progress: Progress): void {
    const decision = decide(progress, this.#progress, this.#mood, this.#lookup);
    if (decision.act === 'start') this.#start(progress);
    if (decision.act === 'skip') {
      progress.state = 'skipped';
      progress.skipped = decision.reason;
      this.#nudge();
    }
    if (decision.act === 'fail') {
      const { task, result } = decision.missing;
      const verdict: Verdict = {
        status: 'False',
        reason: 'InvalidTaskResultReference',
        message: `[User error] invalid result reference in pipeline task "${progress.task.name}": unable to find result referenced by param: Could not find result with name ${result} for task ${task}`,
      };
      this.#decided = { verdict, results: [] };
    }
  }

  #start(progress: Progress): void {
    const plan = planTask(this.#run, this.#spec, this.#params, this.#lookup, progress.task);
    const taskRun = createTaskRun(this.#world, this.#run, progress, substitute(progress.task.params, this.#lookup));
    if (taskRun instanceof Refusal) {
      const { name, namespace } = this.#run.metadata;
      const message = `error creating TaskRuns called ${progress.task.name} for PipelineRun ${namespace}/${name}: ${taskRun.message}`;
      this.#decided = { verdict: { status: 'False', reason: 'CreateRunFailed', message }, results: [] };
    }
    if (taskRun === undefined || taskRun instanceof Refusal) return;
    progress.state = 'running';
    progress.taskRun = taskRun.metadata.name;
    const signals =
      progress.phase === 'tasks' ? [this.#everything.signal, this.#tasks.signal] : [this.#everything.signal];
    const work = runTask(this.#world, taskRun, plan, AbortSignal.any(signals)).then(({ state, results }) => {
      progress.state = state;
      progress.results = results;
      this.#running.delete(progress);
    });
    this.#running.set(progress, work);
    if (this.#world.faults.takeVanishing('running')) this.#vanish();
  }

  #publish(): void {
    const reasons = {
      no: 'Running',
      'tasks timeout': 'PipelineRunTimeoutRunningFinally',
      'gracefully cancelled': 'CancelledRunningFinally',
      'gracefully stopped': 'StoppedRunningFinally',
    } as const;
    const counts = tally(this.#progress);
    const stopping =
      this.#mood.stopping === 'no' &&
      (counts.cancelled > 0 || (counts.failed > 0 && this.#pipeline.finally.length === 0));
    if (counts.incomplete === 0) return;
    const reason = stopping ? 'PipelineRunStopping' : reasons[this.#mood.stopping];
    this.#report((copy) => {
      judge(copy, { status: 'Unknown', reason, message: summary(counts) });
      Object.assign(copy.status as object, this.#children());
    });
  }

  #children() {
    const childReferences = this.#progress.flatMap(({ task, taskRun }) =>
      taskRun === undefined
        ? []
        : [{ apiVersion: 'tekton.dev/v1', kind: 'TaskRun', name: taskRun, pipelineTaskName: task.name }],
    );
    const skippedTasks = this.#progress.flatMap(({ task, skipped }) =>
      skipped === undefined ? [] : [{ name: task.name, reason: skipped }],
    );
    return { childReferences, ...(skippedTasks.length > 0 ? { skippedTasks } : {}) };
  }

  #end(): void {
    const reason: Interruption | undefined = this.#everything.signal.aborted
      ? this.#everything.signal.reason
      : undefined;
    if (reason === 'deleted' || reason === 'shutdown') return;
    const { verdict, results } = this.#world.faults.alter(
      this.#decided ??
        outcomeOf(this.#run.metadata.name, this.#spec, this.#progress, {
          mood: this.#mood,
          interruption: reason,
          lookup: this.#lookup,
        }),
    );
    this.#report((copy) => {
      judge(copy, verdict);
      Object.assign(copy.status as object, {
        completionTime: timestamp(),
        ...this.#children(),
        ...(results.length > 0 ? { results } : {}),
      });
    });
    if (this.#world.faults.takeVanishing('ended')) this.#vanish();
  }

  #vanish(): void {
    setImmediate(() => {
      const { namespace, name, uid } = this.#run.metadata;
      const { store, closing } = this.#world;
      const current = closing.aborted ? undefined : store.find(RESOURCES.pipelineruns, { namespace, name });
      if (current?.metadata.uid === uid) store.remove(RESOURCES.pipelineruns, { namespace, name });
    });
  }

  #report(change: (copy: KubeObject) => void, part: 'object' | 'status' = 'status'): void {
    const { namespace, name } = this.#run.metadata;
    report(this.#world, RESOURCES.pipelineruns, { namespace, name }, change, part);
  }
}
