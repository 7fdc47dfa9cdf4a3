import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { applyTo } from '../../src/sandbox/apply.ts';
import { breakPipeline, changePipeline, type PipelineChange } from '../../src/sandbox/break-pipeline.ts';
import { writePrivate } from '../../src/sandbox/layout.ts';
import { Anything } from '../../src/sandbox/rest.ts';
import { NAMESPACE } from '../../src/sandbox/service-files.ts';
import { clusterAdmin, SERVICE_ACCOUNT, tokenOf, workerAccount } from '../../src/sandbox/tenant.ts';
import { ADDED, expectPublished, expectUndone, newOperator } from '../e2e/support/proof.ts';
import { type AnyWorld, noRealBundles, type View } from '../e2e/support/world.ts';
import { ending, type Pair, pair, type Stage } from './support/pair.ts';
import { cancelRun, deleteRun, followedRun, runningRun, watchRuns } from './support/runs.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

let both: Pair;
beforeAll(async () => {
  both = await pair();
  await both.real.worker.renew();
  await both.imitated.worker.renew();
});
afterAll(() => both?.close());

type Story = (stage: Stage<AnyWorld>) => Promise<View>;

/** Lets the same happen on the real cluster and on the imitation, and compares how the requests ended. */
async function sameEnding(story: Story, imitated: Story = story): Promise<void> {
  const [real, other] = [await story(both.real), await imitated(both.imitated)];
  expect(ending(real)).toEqual(ending(other));
}

/** An index of its own, so that what is done to its pipeline harms nobody else. */
async function indexWith(w: AnyWorld, name: string, change: (of: PipelineChange) => Promise<void>): Promise<string> {
  const index = await w.index(`odd/${name}:v4.19`, 'v4.19');
  const catalogRepoUrl = `${w.sandbox.at.gitlabUrl}/catalogs/odd-${name}`;
  await change({ catalogRepoUrl, branch: 'v4.19', token: w.sandbox.seeded.gitlabToken });
  return index;
}

/** A build that sleeps for longer than any test lasts. */
const sleeping =
  (timeout?: string) =>
  (of: PipelineChange): Promise<void> =>
    changePipeline(of, 'Think it over', (run) => {
      run.setIn(
        ['spec', 'pipelineSpec', 'tasks', 0, 'taskSpec', 'steps', 0, 'script'],
        '#!/bin/sh\necho thinking\nexec sleep 600\n',
      );
      if (timeout !== undefined) run.setIn(['spec', 'timeouts'], run.createNode({ pipeline: timeout }));
    });

test.skipIf(noRealBundles)('a real bundle, overwriting: is complete', async () => {
  await sameEnding(async ({ w }) => {
    const bundle = await w.bundle('kube-green', '0.3.0');
    const before = await w.photograph();
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    await expectPublished(w, ended, 'kube-green', before);
    return ended;
  });
});

test.skipIf(noRealBundles)('a real bundle, thrown away: is complete', async () => {
  await sameEnding(async ({ w }) => {
    const before = await w.photograph();
    const bundles = [await w.bundle('clickhouse', '0.26.0')];
    const body = { bundles, overwrite_from_index: false, overwrite_from_index_token: null };
    const ended = await w.end(await w.add(body));
    expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
    const after = await w.photograph();
    expect({ ...after, tags: {} }).toEqual({ ...before, tags: {} });
    expect(after.tags).toMatchObject(before.tags);
    return ended;
  });
});

test('a step of the build fails: has failed, and nothing is left', async () => {
  await sameEnding(async ({ w }) => {
    const index = await indexWith(w, 'failing', breakPipeline);
    const bundles = [await newOperator(w, 'failing')];
    const before = await w.photograph();
    const ended = await w.end(await w.add({ from_index: index, bundles }));
    await expectUndone(w, ended, /failed/, before);
    return ended;
  });
});

test('the build is cancelled: has failed, and nothing is left', async () => {
  await sameEnding(async ({ w }) => {
    const index = await indexWith(w, 'cancelled', sleeping());
    const bundles = [await newOperator(w, 'cancelled')];
    const before = await w.photograph();
    const request = await w.add({ from_index: index, bundles });
    await cancelRun(clusterAdmin(w.sandbox.layout), await runningRun(w));
    const ended = await w.end(request);
    await expectUndone(w, ended, /cancelled/i, before);
    return ended;
  });
});

test('the build takes longer than its pipeline allows: has failed, and nothing is left', async () => {
  await sameEnding(async ({ w }) => {
    const index = await indexWith(w, 'slow', sleeping('3s'));
    const bundles = [await newOperator(w, 'slow')];
    const before = await w.photograph();
    const ended = await w.end(await w.add({ from_index: index, bundles }));
    await expectUndone(w, ended, /failed due to timeout$/, before);
    return ended;
  });
});

test('the run is deleted in the moment it ends: is complete', async () => {
  await sameEnding(async ({ w }) => {
    const [bundle, before] = [await newOperator(w, 'vanishing'), await w.photograph()];
    const cluster = clusterAdmin(w.sandbox.layout);
    const deleted: Promise<void>[] = [];
    const stop = await watchRuns(w, ({ metadata, status }) => {
      if (status.completionTime === undefined || deleted.length > 0) return;
      deleted.push(deleteRun(cluster, metadata.name));
    });
    try {
      const ended = await w.end(await w.add({ bundles: [bundle] }));
      await expectPublished(w, ended, 'vanishing', before);
      expect(deleted).toHaveLength(1);
      await Promise.all(deleted);
      return ended;
    } finally {
      stop();
    }
  });
});

test('the run is deleted before its end: has failed, and nothing is left', async () => {
  await sameEnding(async ({ w }) => {
    const index = await indexWith(w, 'deleted', sleeping());
    const bundles = [await newOperator(w, 'deleted')];
    const before = await w.photograph();
    const request = await w.add({ from_index: index, bundles });
    // Deleted before anybody follows it, nobody could tell that it had not ended.
    await deleteRun(clusterAdmin(w.sandbox.layout), await followedRun(w, request));
    const ended = await w.end(request);
    await expectUndone(w, ended, /was deleted before it ended/, before);
    return ended;
  });
});

test('Pipelines-as-Code is silent: has failed with what to check', async () => {
  const { pipelinesAsCode: real } = both.real.w.sandbox.parts;
  const { pipelinesAsCode: imitated } = both.imitated.w.sandbox.parts;
  await sameEnding(async ({ w, worker }) => {
    await worker.renew({ runAppears: 3000 });
    const [bundle, before] = [await newOperator(w, 'unheard'), await w.photograph()];
    await (w === both.real.w ? real.now.controller.stop() : imitated.now.faults.silence());
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    await (w === both.real.w ? real.now.controller.start() : imitated.now.faults.speak());
    await worker.renew();
    await expectUndone(w, ended, /No pipelineruns found for commit/, before);
    return ended;
  });
});

const ACCOUNT = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${SERVICE_ACCOUNT}`;
const BINDING = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/rolebindings/${SERVICE_ACCOUNT}`;

test.each([
  ['may not see runs', BINDING, /may not list pipelineruns/],
  ['is worth nothing', ACCOUNT, /does not accept the token/],
])('the token %s: has failed, and nothing is left', async (_what, object, reason) => {
  await sameEnding(async ({ w, worker }) => {
    const [bundle, before] = [await newOperator(w, 'refused'), await w.photograph()];
    const cluster = clusterAdmin(w.sandbox.layout);
    // The API server believes a token for some seconds after it has seen it: the worker's first call is the refused one.
    await cluster('DELETE', object, Anything);
    try {
      await worker.renew();
      const ended = await w.end(await w.add({ bundles: [bundle] }));
      await expectUndone(w, ended, reason, before);
      return ended;
    } finally {
      for (const manifest of workerAccount(NAMESPACE)) await applyTo(cluster)(manifest);
      writePrivate(w.sandbox.at.kubernetesTokenFile, await tokenOf(cluster, SERVICE_ACCOUNT));
    }
  });
});
