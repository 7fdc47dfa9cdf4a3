import type { Tally } from './conditions.ts';
import { dependencies, resultSources } from './graph.ts';
import type { PipelineTask, Value } from './schema.ts';
import { type Lookup, substitute } from './substitution.ts';

export type TaskState = 'waiting' | 'running' | 'Succeeded' | 'Failed' | 'Cancelled' | 'skipped';

/** How far one task of a run has come. */
export interface Progress {
  task: PipelineTask;
  phase: 'tasks' | 'finally';
  state: TaskState;
  /** Name of its TaskRun once there is one. */
  taskRun?: string;
  skipped?: SkipReason;
  results: ReadonlyMap<string, Value>;
}

/** Tekton's texts in `status.skippedTasks[].reason`. */
export type SkipReason =
  | 'When Expressions evaluated to false'
  | 'Parent Tasks were skipped'
  | 'Results were missing'
  | 'PipelineRun was stopping'
  | 'PipelineRun was gracefully cancelled'
  | 'PipelineRun was gracefully stopped'
  | 'PipelineRun Tasks timeout has been reached';

export type Decision =
  | { act: 'wait' }
  | { act: 'start' }
  | { act: 'skip'; reason: SkipReason }
  /** The run cannot go on: a task that succeeded did not write a result that this one reads. */
  | { act: 'fail'; missing: { task: string; result: string } };

/** What holds for the whole run when a task is decided on. */
export interface Mood {
  stopping: 'no' | 'gracefully cancelled' | 'gracefully stopped' | 'tasks timeout';
}

const over = ({ state }: Progress) => state !== 'waiting' && state !== 'running';

/** Whether a waiting task starts, waits longer or never runs. */
export function decide(progress: Progress, all: readonly Progress[], mood: Mood, lookup: Lookup): Decision {
  const { task, phase } = progress;
  if (phase === 'tasks') {
    if (mood.stopping === 'gracefully cancelled')
      return { act: 'skip', reason: 'PipelineRun was gracefully cancelled' };
    if (mood.stopping === 'gracefully stopped') return { act: 'skip', reason: 'PipelineRun was gracefully stopped' };
    if (mood.stopping === 'tasks timeout') return { act: 'skip', reason: 'PipelineRun Tasks timeout has been reached' };
    if (all.some((other) => other.phase === 'tasks' && ['Failed', 'Cancelled'].includes(other.state))) {
      return { act: 'skip', reason: 'PipelineRun was stopping' };
    }
    const parents = all.filter((other) => dependencies(task).includes(other.task.name));
    if (!parents.every(over)) return { act: 'wait' };
    const ordered = parents.filter(
      (parent) => parent.state === 'skipped' && parent.skipped !== 'When Expressions evaluated to false',
    );
    if (ordered.length > 0) return { act: 'skip', reason: 'Parent Tasks were skipped' };
  }
  const missing = missingResult(progress, all);
  if (missing) {
    const source = all.find((other) => other.task.name === missing.task);
    return source?.state === 'Succeeded' && phase === 'tasks'
      ? { act: 'fail', missing }
      : { act: 'skip', reason: 'Results were missing' };
  }
  const holds = substitute(task.when, lookup).every(
    ({ input, operator, values }) => values.includes(input) === (operator === 'in'),
  );
  return holds ? { act: 'start' } : { act: 'skip', reason: 'When Expressions evaluated to false' };
}

function missingResult({ task }: Progress, all: readonly Progress[]): { task: string; result: string } | undefined {
  for (const name of resultSources(task)) {
    const source = all.find((other) => other.task.name === name);
    for (const [, result = ''] of JSON.stringify([task.params, task.when]).matchAll(
      new RegExp(`\\$\\(tasks\\.${name}\\.results\\.([A-Za-z0-9_-]+)`, 'g'),
    )) {
      if (!source?.results.has(result)) return { task: name, result };
    }
  }
  return undefined;
}

export function tally(all: readonly Progress[]): Tally {
  const count = (...states: TaskState[]) => all.filter(({ state }) => states.includes(state)).length;
  return {
    succeeded: count('Succeeded'),
    failed: count('Failed'),
    cancelled: count('Cancelled'),
    skipped: count('skipped'),
    incomplete: count('waiting', 'running'),
  };
}

/** Finds `tasks.t.results.r` and `tasks.t.status`. */
export function taskVariables(all: readonly Progress[]): Lookup {
  return ([head, name, what, result]) => {
    const progress = head === 'tasks' ? all.find(({ task }) => task.name === name) : undefined;
    if (what === 'results') return progress?.results.get(result ?? '');
    if (what !== 'status') return undefined;
    if (name === 'status') return undefined;
    return progress && ['Succeeded', 'Failed'].includes(progress.state) ? progress.state : 'None';
  };
}
