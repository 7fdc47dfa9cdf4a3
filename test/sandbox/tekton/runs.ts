import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PodLogs } from '../../../src/sandbox/kubernetes/logs.ts';
import { type KubeObject, RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { Store } from '../../../src/sandbox/kubernetes/store.ts';
import { isDone, succeeded } from '../../../src/sandbox/tekton/conditions.ts';
import { startTekton } from '../../../src/sandbox/tekton/controller.ts';

/** A store with the Tekton imitation upon it, and ways to wait for what happens in it. */
export async function runs(dir?: string) {
  const home = dir ?? (await mkdtemp(join(tmpdir(), 'tekton-')));
  const store = new Store(join(home, 'objects.db'), { historyLength: 1000 });
  const logs = new PodLogs(join(home, 'logs'));
  if (!store.find(RESOURCES.namespaces, { name: 'tenant' })) {
    store.create(RESOURCES.namespaces, { metadata: { name: 'tenant' } });
  }
  const tekton = await startTekton({ store, logs, dir: join(home, 'tekton') });

  function until(name: string, holds: (run: KubeObject) => boolean): Promise<KubeObject> {
    return new Promise((resolve) => {
      const check = () => {
        const run = store.find(RESOURCES.pipelineruns, { namespace: 'tenant', name });
        if (!run || !holds(run)) return;
        unsubscribe();
        resolve(run);
      };
      const unsubscribe = store.subscribe(check);
      check();
    });
  }

  return {
    home,
    faults: tekton.faults,
    store,
    logs,
    start(name: string, pipelineSpec: unknown, more: Record<string, unknown> = {}): KubeObject {
      return store.create(RESOURCES.pipelineruns, {
        metadata: { name, namespace: 'tenant' },
        spec: { pipelineSpec, ...more },
      });
    },
    until,
    end: (name: string) => until(name, isDone),
    /** Waits until the log of a task's step holds a text. */
    logged(name: string, task: string, text: string): Promise<void> {
      return new Promise((resolve) => {
        const timer = setInterval(() => {
          const pod = store.find(RESOURCES.pods, { namespace: 'tenant', name: `${name}-${task}-pod` });
          if (!pod || !logs.read(pod.metadata.uid, 'step-main')?.toString().includes(text)) return;
          clearInterval(timer);
          resolve();
        }, 20);
      });
    },
    log: (name: string, task: string, step = 'main') => {
      const pod = store.get(RESOURCES.pods, { namespace: 'tenant', name: `${name}-${task}-pod` });
      return logs.read(pod.metadata.uid, `step-${step}`)?.toString();
    },
    steer: (name: string, status: string | undefined) =>
      store.edit(RESOURCES.pipelineruns, { namespace: 'tenant', name }, (copy) => {
        copy.spec = { ...(copy.spec as object), status };
      }),
    async stop({ keep = false } = {}) {
      await tekton.close();
      store.close();
      if (!keep) await rm(home, { recursive: true, force: true });
    },
  };
}

export const task = (
  name: string,
  script: string,
  more: Record<string, unknown> = {},
  spec: Record<string, unknown> = {},
) => ({
  name,
  ...more,
  taskSpec: { ...spec, steps: [{ name: 'main', image: 'any', script }] },
});

export const verdict = (run: KubeObject) => {
  const { status, reason, message } = succeeded(run) ?? {};
  return { status, reason, message };
};
