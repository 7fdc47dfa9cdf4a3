import { type KubeObject, RESOURCES, timestamp } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import { childName } from './naming.ts';
import type { Step } from './schema.ts';
import { report, type World } from './world.ts';

export type ContainerState =
  | { waiting: { reason: string; message?: string } }
  | { running: { startedAt: string } }
  | { terminated: { exitCode: number; reason: string; startedAt: string; finishedAt: string } };

export interface Pod {
  name: string;
  namespace: string | undefined;
  uid: string;
  set(phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed', states: readonly ContainerState[]): void;
}

export const containerName = (step: Step, index: number) => `step-${step.name ?? `unnamed-${index}`}`;

export const terminated = (exitCode: number, startedAt: string): ContainerState => ({
  terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt, finishedAt: timestamp() },
});

/** The pod of a task run; undefined when the task run or its namespace has gone meanwhile. */
export function createPod(world: World, taskRun: KubeObject, steps: readonly Step[]): Pod | undefined {
  const { name, namespace, uid, labels } = taskRun.metadata;
  const images = steps.map(({ image }) => image ?? '');
  try {
    const pod = world.store.create(RESOURCES.pods, {
      metadata: {
        name: childName(name, '-pod'),
        namespace: namespace ?? '',
        labels: { ...labels, 'tekton.dev/taskRun': name, 'app.kubernetes.io/managed-by': 'tekton-pipelines' },
        ownerReferences: [
          { apiVersion: 'tekton.dev/v1', kind: 'TaskRun', name, uid, controller: true, blockOwnerDeletion: true },
        ],
      },
      spec: {
        restartPolicy: 'Never',
        containers: steps.map((step, index) => ({ name: containerName(step, index), image: images[index] })),
      },
    });
    const reference = { namespace, name: pod.metadata.name };
    return {
      name: pod.metadata.name,
      namespace,
      uid: pod.metadata.uid,
      set: (phase, states) =>
        report(world, RESOURCES.pods, reference, (copy) => {
          copy.status = {
            ...(copy.status as object),
            phase,
            containerStatuses: states.map((state, index) => ({
              name: containerName(steps[index] as Step, index),
              image: images[index],
              ready: 'running' in state,
              restartCount: 0,
              state,
            })),
          };
        }),
    };
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}
