import type { KubeObject } from '../kubernetes/object.ts';
import type { Verdict } from './conditions.ts';
import type { PipelineRunSpec, Value } from './schema.ts';

/** What is wrong with a run before any task of it starts, in Tekton's words (konflux-and-gitlab.md §2.2). */
export function unfit(
  { metadata: { name, namespace } }: KubeObject,
  { pipelineSpec, pipelineRef, workspaces }: PipelineRunSpec,
  params: ReadonlyMap<string, Value>,
): Verdict | undefined {
  const fail = (reason: string, message: string): Verdict => ({
    status: 'False',
    reason,
    message: `[User error] ${message}`,
  });
  if (!pipelineSpec) {
    const wanted = pipelineRef?.name ?? '';
    return fail(
      'CouldntGetPipeline',
      `Error retrieving pipeline for pipelinerun ${namespace}/${name}: error when listing pipelines for pipelineRun ${name}: pipelines.tekton.dev "${wanted}" not found`,
    );
  }
  const absent = [...pipelineSpec.tasks, ...pipelineSpec.finally].find(({ taskSpec }) => !taskSpec)?.taskRef?.name;
  if (absent !== undefined) {
    return fail(
      'CouldntGetTask',
      `Pipeline ${namespace}/${name} can't be Run; it contains Tasks that don't exist: Couldn't retrieve Task "${absent}": tasks.tekton.dev "${absent}" not found`,
    );
  }
  const missing = pipelineSpec.params.filter((param) => !params.has(param.name)).map((param) => param.name);
  if (missing.length > 0) {
    return fail(
      'ParameterMissing',
      `PipelineRun ${namespace}/${name} parameters is missing some parameters required by Pipeline ${name}'s parameters: pipelineRun missing parameters: [${missing.join(' ')}]`,
    );
  }
  const unbound = pipelineSpec.workspaces.find(
    (declared) => !declared.optional && !workspaces.some((bound) => bound.name === declared.name),
  );
  if (!unbound) return undefined;
  return fail(
    'InvalidWorkspaceBindings',
    `PipelineRun ${namespace}/${name} doesn't bind Pipeline ${name}'s Workspaces correctly: pipeline requires workspace with name "${unbound.name}" be provided by pipelinerun`,
  );
}
