import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { admissionDenied } from '../kubernetes/refusal.ts';
import type { Review } from '../kubernetes/store.ts';
import { isDone } from './conditions.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { dependencies } from './graph.ts';
import { PipelineRunSpec, RUN_STATUSES, RunStatus, type PipelineRunSpec as Spec } from './schema.ts';
import { variablesIn } from './substitution.ts';

const WEBHOOK = 'validation.webhook.pipeline.tekton.dev';
const denied = (why: string) => admissionDenied(WEBHOOK, why);

/**
 * Tekton's admission webhooks for PipelineRuns: defaults, and the refusals that a real cluster was seen to give
 * (konflux-and-gitlab.md §2.3, real-cluster.md §3).
 *
 * @throws Refusal 400
 */
export function admitPipelineRun({ resource, object, before }: Review): void {
  if (resource !== RESOURCES.pipelineruns) return;
  const parsed = PipelineRunSpec.safeParse(object.spec ?? {});
  if (!parsed.success) throw denied(`invalid value: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}: spec`);
  const spec = parsed.data;
  if (before) refuseLateChanges(before, object, spec);
  if (before && isDeepStrictEqual(before.spec, object.spec)) return;
  applyDefaults(object);
  if (spec.status !== undefined && spec.status !== '' && !(RUN_STATUSES as readonly string[]).includes(spec.status)) {
    throw denied(
      `invalid value: ${spec.status} should be Cancelled, CancelledRunFinally, StoppedRunFinally or PipelineRunPending: spec.status`,
    );
  }
  if (!spec.pipelineSpec && !spec.pipelineRef)
    throw denied('expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec');
  checkTimeouts(spec);
  checkTasks(spec);
}

function applyDefaults(object: KubeObject): void {
  const spec = (object.spec ?? {}) as Record<string, unknown>;
  object.spec = {
    ...spec,
    timeouts: { pipeline: '1h0m0s', ...(spec.timeouts as object | undefined) },
    taskRunTemplate: { serviceAccountName: 'default', ...(spec.taskRunTemplate as object | undefined) },
  };
}

function refuseLateChanges(before: KubeObject, object: KubeObject, spec: Spec): void {
  const started = RunStatus.parse(before.status ?? {}).startTime !== undefined;
  const withoutStatus = (value: unknown) => ({ ...(value as Record<string, unknown>), status: undefined });
  if (isDone(before) && !isDeepStrictEqual(before.spec, object.spec)) {
    throw denied('invalid value: Once the PipelineRun is complete, no updates are allowed: spec');
  }
  if (started && !isDone(before) && !isDeepStrictEqual(withoutStatus(before.spec), withoutStatus(object.spec))) {
    throw denied('invalid value: Once the PipelineRun has started, only status updates are allowed: spec');
  }
  if (
    started &&
    spec.status === 'PipelineRunPending' &&
    PipelineRunSpec.parse(before.spec).status !== 'PipelineRunPending'
  ) {
    throw denied('invalid value: PipelineRun cannot be Pending after it is started: spec.status');
  }
}

function checkTimeouts({ timeouts }: Spec): void {
  const pipeline = timeouts.pipeline ?? '1h0m0s';
  const limit = parseDuration(pipeline);
  for (const [field, text] of Object.entries(timeouts)) {
    const value = parseDuration(text ?? '0');
    if (value === undefined) throw denied(`invalid value: ${text}: spec.timeouts.${field}`);
    if (field !== 'pipeline' && limit !== undefined && limit > 0 && value > limit) {
      throw denied(`invalid value: ${formatDuration(value)} should be <= pipeline duration: spec.timeouts.${field}`);
    }
  }
}

function checkTasks({ pipelineSpec, params }: Spec): void {
  if (!pipelineSpec) return;
  const { tasks, finally: last } = pipelineSpec;
  const names = tasks.map(({ name }) => name);
  const double = [...tasks, ...last].find(
    ({ name }, index, all) => all.findIndex((other) => other.name === name) !== index,
  );
  if (double) throw denied(`expected exactly one, got both: spec.pipelineSpec.tasks.${double.name}`);
  for (const task of tasks) {
    const missing = dependencies(task).find((name) => !names.includes(name));
    if (missing) {
      throw denied(
        `invalid value: couldn't add link between ${task.name} and ${missing}: task ${task.name} depends on ${missing} but ${missing} wasn't present in Pipeline: spec.pipelineSpec.tasks`,
      );
    }
  }
  const cycle = cycleIn(new Map(tasks.map((task) => [task.name, dependencies(task)])));
  if (cycle) throw denied(`invalid value: cycle detected; task "${cycle}" depends on itself: spec.pipelineSpec.tasks`);
  const known = new Set([...params, ...pipelineSpec.params].map(({ name }) => name));
  for (const [index, task] of [...tasks, ...last].entries()) {
    const own = new Set([
      ...known,
      ...(task.taskSpec?.params ?? []).map(({ name }) => name),
      ...task.params.map(({ name }) => name),
    ]);
    const unknown =
      variablesIn([task.params, task.when]).find(
        ({ path: [head, name] }) => head === 'params' && !known.has(name ?? ''),
      ) ??
      variablesIn(task.taskSpec?.steps).find(({ path: [head, name] }) => head === 'params' && !own.has(name ?? ''));
    if (unknown) throw denied(`non-existent variable in "${unknown.text}": spec.pipelineSpec.tasks[${index}]`);
  }
}

function cycleIn(graph: ReadonlyMap<string, string[]>): string | undefined {
  const reaches = (from: string, goal: string, seen: Set<string>): boolean =>
    (graph.get(from) ?? []).some((next) => {
      if (next === goal) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, goal, seen);
    });
  return [...graph.keys()].find((name) => reaches(name, name, new Set()));
}
