import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { secretValue } from '../kubernetes/fields.ts';
import { type KubeObject, RESOURCES, timestamp } from '../kubernetes/object.ts';
import { type Interruption, judge, type Verdict } from './conditions.ts';
import { formatDuration } from './duration.ts';
import { type ContainerState, containerName, createPod, type Pod, terminated } from './pod.ts';
import type { Step, TaskSpec, Value, WorkspaceBinding } from './schema.ts';
import { runStep } from './step.ts';
import { firstOf, from, substitute } from './substitution.ts';
import { mountWorkspace, sourcesPresent } from './volumes.ts';
import { report, type World } from './world.ts';

/** Everything one task needs, made by the pipeline run. */
export interface TaskPlan {
  run: { name: string; namespace: string; uid: string };
  taskName: string;
  spec: TaskSpec;
  params: ReadonlyMap<string, Value>;
  /** By the name the task uses. */
  workspaces: ReadonlyMap<string, { binding: WorkspaceBinding; subPath: string | undefined }>;
  /** Milliseconds; undefined when only the pipeline's own limits hold. */
  timeout: number | undefined;
}

export interface TaskOutcome {
  state: 'Succeeded' | 'Failed' | 'Cancelled';
  results: Map<string, Value>;
}

/** Bytes all results of a task may have together: they travel in a termination message. */
const RESULTS_LIMIT = 4096;
const RESULTS_TOO_LARGE = 'Termination message is above max allowed size 4096, caused by large task result.';

/**
 * Runs a task run that stands in the store already: waits for a place, makes its pod, runs the steps one after the
 * other, reads the results, reports all of it in TaskRun and Pod (konflux-and-gitlab.md §2.1).
 */
export async function runTask(
  world: World,
  taskRun: KubeObject,
  plan: TaskPlan,
  signal: AbortSignal,
): Promise<TaskOutcome> {
  const { name, namespace } = taskRun.metadata;
  const deadline = new AbortController();
  const timer =
    plan.timeout === undefined
      ? undefined
      : setTimeout(() => deadline.abort('task timeout' satisfies Interruption), plan.timeout);
  const stop = AbortSignal.any([signal, deadline.signal]);
  const dir = join(world.dir, 'tasks', taskRun.metadata.uid);
  const tell = (change: (copy: KubeObject) => void) => report(world, RESOURCES.taskruns, { namespace, name }, change);
  const finish = (
    verdict: Verdict,
    state: TaskOutcome['state'],
    results: TaskOutcome['results'],
    steps: unknown[],
  ): TaskOutcome => {
    tell((copy) => {
      judge(copy, verdict);
      Object.assign(copy.status as object, {
        completionTime: timestamp(),
        steps,
        results: [...results].map(([key, value]) => ({
          name: key,
          type: Array.isArray(value) ? 'array' : 'string',
          value,
        })),
      });
    });
    return { state, results };
  };
  try {
    const ran = await world.places(() => inPod(world, taskRun, plan, dir, stop, tell));
    if (stop.aborted) {
      const why: Interruption = stop.reason;
      const outOfTime = why === 'task timeout' || why === 'tasks timeout';
      if (!outOfTime) markCancelled(world, taskRun, why);
      return finish(interruptedVerdict(name, why, plan), outOfTime ? 'Failed' : 'Cancelled', new Map(), ran.steps);
    }
    if (ran.failure !== undefined) {
      return finish({ status: 'False', reason: 'Failed', message: ran.failure }, 'Failed', ran.results, ran.steps);
    }
    const verdict: Verdict = { status: 'True', reason: 'Succeeded', message: 'All Steps have completed executing' };
    return finish(verdict, 'Succeeded', ran.results, ran.steps);
  } finally {
    clearTimeout(timer);
    await rm(dir, { recursive: true, force: true });
  }
}

function markCancelled(world: World, { metadata }: KubeObject, reason: Interruption): void {
  const why = reason === 'pipeline timeout' ? 'has timed out' : 'has been cancelled';
  report(
    world,
    RESOURCES.taskruns,
    { namespace: metadata.namespace, name: metadata.name },
    (copy) => {
      copy.spec = {
        ...(copy.spec as object),
        status: 'TaskRunCancelled',
        statusMessage: `TaskRun cancelled as the PipelineRun it belongs to ${why}.`,
      };
    },
    'object',
  );
}

function interruptedVerdict(name: string, reason: Interruption, { timeout }: TaskPlan): Verdict {
  if (reason === 'task timeout' || reason === 'tasks timeout') {
    const limit = timeout === undefined ? '' : ` within "${formatDuration(timeout)}"`;
    return { status: 'False', reason: 'TaskRunTimeout', message: `TaskRun "${name}" failed to finish${limit}` };
  }
  const why = reason === 'pipeline timeout' ? 'has timed out' : 'has been cancelled';
  const message = `TaskRun "${name}" was cancelled. TaskRun cancelled as the PipelineRun it belongs to ${why}.`;
  return { status: 'False', reason: 'TaskRunCancelled', message };
}

interface Ran {
  steps: unknown[];
  results: Map<string, Value>;
  failure: string | undefined;
}

async function inPod(
  world: World,
  taskRun: KubeObject,
  plan: TaskPlan,
  dir: string,
  signal: AbortSignal,
  tell: (change: (copy: KubeObject) => void) => void,
): Promise<Ran> {
  const nothing: Ran = { steps: [], results: new Map(), failure: undefined };
  const pod = signal.aborted ? undefined : createPod(world, taskRun, plan.spec.steps);
  if (!pod) return nothing;
  tell((copy) => {
    judge(copy, { status: 'Unknown', reason: 'Pending', message: 'Pending' });
    Object.assign(copy.status as object, { podName: pod.name });
  });
  const bindings = [...plan.workspaces.values()].map(({ binding }) => binding);
  try {
    await sourcesPresent(world, plan.run.namespace, bindings, signal, ({ resource, name }) =>
      pod.set(
        'Pending',
        plan.spec.steps.map(() => ({
          waiting: { reason: 'ContainerCreating', message: `${resource.singular} "${name}" not found` },
        })),
      ),
    );
  } catch (thrown) {
    if (signal.aborted) return nothing;
    throw thrown;
  }
  tell((copy) =>
    judge(copy, { status: 'Unknown', reason: 'Running', message: 'Not all Steps in the Task have finished executing' }),
  );
  await mkdir(join(dir, 'results'), { recursive: true, mode: 0o700 });
  const steps = await resolvedSteps(world, taskRun, plan, dir);
  const ran = await runSteps(world, pod, steps, dir, signal);
  const { results, tooLarge } = await readResults(plan.spec, dir);
  const states = ran.states.map((state, index) => ({
    name: steps[index]?.name ?? `unnamed-${index}`,
    container: containerName(steps[index] as Step, index),
    ...state,
  }));
  return {
    steps: states,
    results: tooLarge ? new Map() : results,
    failure: ran.failure ?? (tooLarge ? RESULTS_TOO_LARGE : undefined),
  };
}

async function resolvedSteps(world: World, taskRun: KubeObject, plan: TaskPlan, dir: string): Promise<Step[]> {
  const paths = new Map<string, Value>();
  for (const [name, { binding, subPath }] of plan.workspaces) {
    paths.set(name, { path: await mountWorkspace(world, plan.run, dir, binding, subPath), bound: 'true' });
  }
  for (const { name } of plan.spec.workspaces) if (!paths.has(name)) paths.set(name, { path: '', bound: 'false' });
  const lookup = firstOf(
    from('params', plan.params),
    from('workspaces', paths),
    from('results', new Map(plan.spec.results.map(({ name }) => [name, { path: join(dir, 'results', name) }]))),
    from('context', contextOf(plan, taskRun.metadata)),
  );
  const template = plan.spec.stepTemplate;
  return plan.spec.steps.map((step) => {
    const whole = { ...step, env: [...(template?.env ?? []), ...step.env] };
    const workingDir = step.workingDir ?? template?.workingDir;
    return substitute(workingDir === undefined ? whole : { ...whole, workingDir }, lookup);
  });
}

const contextOf = ({ run, taskName }: TaskPlan, { name, namespace, uid }: KubeObject['metadata']): Map<string, Value> =>
  new Map<string, Value>([
    ['taskRun', { name, namespace: namespace ?? '', uid }],
    ['task', { name: taskName }],
    ['pipelineRun', run],
    ['pipeline', { name: run.name }],
  ]);

async function runSteps(world: World, pod: Pod, steps: readonly Step[], dir: string, signal: AbortSignal) {
  const startedAt = timestamp();
  const states: ContainerState[] = steps.map(() => ({ running: { startedAt } }));
  for (const [index, step] of steps.entries()) world.logs.begin(pod.uid, containerName(step, index));
  pod.set('Running', states);
  let failure: string | undefined;
  for (const [index, step] of steps.entries()) {
    const container = containerName(step, index);
    const output = (chunk: Buffer) => world.logs.append(pod.uid, container, chunk);
    if (failure === undefined && !signal.aborted) {
      const env = { ...world.env, ...environment(world, pod, step) };
      const exitCode = await runStep({ ...step, name: container }, { dir, env, signal, output });
      states[index] = terminated(exitCode, startedAt);
      if (exitCode !== 0) failure = `"${container}" exited with code ${exitCode}`;
    } else {
      if (failure !== undefined) output(Buffer.from('Skipping step because a previous step failed\n'));
      states[index] = terminated(signal.aborted ? 137 : 1, startedAt);
    }
    world.logs.end(pod.uid, container);
    if (index < steps.length - 1 && failure === undefined) pod.set('Running', states);
  }
  pod.set(failure === undefined && !signal.aborted ? 'Succeeded' : 'Failed', states);
  return { states, failure };
}

function environment({ store }: World, { namespace }: Pod, step: Step): Record<string, string> {
  return Object.fromEntries(
    step.env.flatMap(({ name, value, valueFrom }) => {
      const secret = valueFrom?.secretKeyRef;
      const found = secret
        ? secretValue(store.find(RESOURCES.secrets, { namespace, name: secret.name }), secret.key)
        : value;
      return found === undefined ? [] : [[name, found]];
    }),
  );
}

async function readResults(
  { results }: TaskSpec,
  dir: string,
): Promise<{ results: Map<string, Value>; tooLarge: boolean }> {
  const found = new Map<string, Value>();
  let size = 0;
  for (const { name, type } of results) {
    const text = await readFile(join(dir, 'results', name), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    size += Buffer.byteLength(text);
    const parsed =
      type === 'string'
        ? undefined
        : z.union([z.array(z.string()), z.record(z.string(), z.string())]).safeParse(json(text));
    found.set(name, parsed?.success ? parsed.data : text);
  }
  return { results: found, tooLarge: size > RESULTS_LIMIT };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
