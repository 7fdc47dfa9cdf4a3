import type { KubeObject } from '../kubernetes/object.ts';
import { parseDuration } from './duration.ts';
import type { PipelineRunSpec, PipelineTask, Value } from './schema.ts';
import { type Lookup, substitute, variablesIn } from './substitution.ts';
import type { TaskPlan } from './taskrun.ts';

/** The parameters of a run: its own over the defaults of its pipeline. */
export function runParams({ params, pipelineSpec }: PipelineRunSpec): Map<string, Value> {
  return new Map([
    ...(pipelineSpec?.params ?? []).flatMap(({ name, default: value }) =>
      value === undefined ? [] : [[name, value] as const],
    ),
    ...params.map(({ name, value }) => [name, value] as const),
  ]);
}

/**
 * What one task of a run gets. Parameters and workspaces of the run reach embedded tasks without being handed on;
 * what is handed on by name wins.
 */
export function planTask(
  { metadata }: KubeObject,
  run: PipelineRunSpec,
  outer: ReadonlyMap<string, Value>,
  lookup: Lookup,
  task: PipelineTask,
): TaskPlan {
  const { taskSpec: spec } = task;
  if (!spec) throw new Error(`task ${task.name} has no spec`);
  const params = new Map([
    ...outer,
    ...spec.params.flatMap(({ name, default: value }) => (value === undefined ? [] : [[name, value] as const])),
    ...substitute(task.params, lookup).map(({ name, value }) => [name, value] as const),
  ]);
  const named = task.workspaces.map((own) => [own.name, own.workspace ?? own.name, own.subPath] as const);
  const inherited = run.workspaces
    .filter(({ name }) => !named.some(([own]) => own === name))
    .filter(({ name }) => variablesIn(spec.steps).some(({ path }) => path[0] === 'workspaces' && path[1] === name))
    .map(({ name }) => [name, name, undefined] as const);
  const workspaces = new Map(
    [...named, ...inherited].flatMap(([own, outerName, subPath]) => {
      const binding = run.workspaces.find(({ name }) => name === outerName);
      return binding ? [[own, { binding: substitute(binding, lookup), subPath }] as const] : [];
    }),
  );
  const { name, namespace = '', uid } = metadata;
  const timeout = parseDuration(task.timeout ?? '0') || undefined;
  return { run: { name, namespace, uid }, taskName: task.name, spec, params, workspaces, timeout };
}
