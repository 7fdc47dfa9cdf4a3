import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import { childName } from './naming.ts';
import type { Progress } from './progress.ts';
import type { Value } from './schema.ts';
import type { World } from './world.ts';

/**
 * The TaskRun of one task of a run (konflux-and-gitlab.md §2.1). Undefined when the run has gone meanwhile; the refusal
 * when the server does not take it, e.g. because a TaskRun of that name is there from a run that is being deleted.
 */
export function createTaskRun(
  { store }: World,
  run: KubeObject,
  { task, phase }: Progress,
  params: { name: string; value: Value }[],
): KubeObject | Refusal | undefined {
  const { name, namespace = '', uid, labels } = run.metadata;
  if (store.find(RESOURCES.pipelineruns, { namespace, name })?.metadata.uid !== uid) return undefined;
  try {
    return store.create(RESOURCES.taskruns, {
      metadata: {
        name: childName(name, `-${task.name}`),
        namespace,
        labels: {
          'app.kubernetes.io/managed-by': 'tekton-pipelines',
          ...labels,
          'tekton.dev/memberOf': phase,
          'tekton.dev/pipeline': childName(name, ''),
          'tekton.dev/pipelineRun': name,
          'tekton.dev/pipelineTask': task.name,
        },
        ownerReferences: [
          { apiVersion: 'tekton.dev/v1', kind: 'PipelineRun', name, uid, controller: true, blockOwnerDeletion: true },
        ],
      },
      spec: { taskSpec: task.taskSpec, params },
    });
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
}
