import { KubeConfig, Watch } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { z } from 'zod';
import { Anything, type Rest } from '../../../src/sandbox/rest.ts';
import { NAMESPACE } from '../../../src/sandbox/service-files.ts';
import { clusterAdmin } from '../../../src/sandbox/tenant.ts';
import { stepOf } from '../../e2e/support/journal.ts';
import type { AnyWorld, View } from '../../e2e/support/world.ts';

export const RUNS = `/apis/tekton.dev/v1/namespaces/${NAMESPACE}/pipelineruns`;

export const Run = z.object({
  metadata: z.object({ name: z.string(), annotations: z.record(z.string(), z.string()).default({}) }),
  status: z.object({ startTime: z.string().optional(), completionTime: z.string().optional() }).default({}),
});
export type Run = z.infer<typeof Run>;
const Runs = z.object({ items: z.array(Run) });

/** Follows PipelineRuns from now on, as anybody may; `seen` is told of each change. Gives the way to end it. */
export async function watchRuns(w: AnyWorld, seen: (run: Run) => void): Promise<() => void> {
  const config = new KubeConfig();
  config.loadFromFile(w.sandbox.at.kubeconfig);
  const controller = await new Watch(config).watch(
    RUNS,
    {},
    (type: string, object: unknown) => {
      if (type === 'ADDED' || type === 'MODIFIED') seen(Run.parse(object));
    },
    () => {},
  );
  return () => controller.abort();
}

/** Waits for the run that works now, and gives its name. */
export async function runningRun(w: AnyWorld): Promise<string> {
  const cluster = clusterAdmin(w.sandbox.layout);
  let found: Run | undefined;
  const look = async () => {
    const { items } = await cluster('GET', RUNS, Runs);
    found = items.find(({ status }) => status.startTime !== undefined && status.completionTime === undefined);
    return found?.metadata.name;
  };
  await expect.poll(look, { timeout: 120_000, interval: 50 }).toBeDefined();
  return (found as Run).metadata.name;
}

/** Waits until the request's worker has seen its run at work and follows it, and gives the run's name. */
export async function followedRun(w: AnyWorld, request: Pick<View, 'id'>): Promise<string> {
  const notes = async () => (await stepOf(w, request, 'build'))?.notes;
  await expect.poll(notes, { timeout: 120_000, interval: 50 }).toMatchObject({ progress: 'Running' });
  return (await notes())?.pipeline_run as string;
}

/** Ends a run as a person would who is tired of it. */
export async function cancelRun(cluster: Rest, name: string): Promise<void> {
  await cluster(
    'PATCH',
    `${RUNS}/${name}`,
    Anything,
    { spec: { status: 'Cancelled' } },
    'application/merge-patch+json',
  );
}

export async function deleteRun(cluster: Rest, name: string): Promise<void> {
  await cluster('DELETE', `${RUNS}/${name}`, Anything);
}
