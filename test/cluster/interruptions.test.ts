import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { Failure } from '../../src/errors/failure.ts';
import { createCluster } from '../../src/pipeline/cluster.ts';
import type { RealParts } from '../../src/sandbox/cluster/parts.ts';
import { restClient } from '../../src/sandbox/rest.ts';
import { serviceCluster } from '../../src/sandbox/service-files.ts';
import { clusterAdmin } from '../../src/sandbox/tenant.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { dropWaiting, gateAt } from '../e2e/support/gate.ts';
import { KILL_MOMENTS } from '../e2e/support/kill-moments.ts';
import { expectPublished, newOperator } from '../e2e/support/proof.ts';
import { realWorld, type World } from '../e2e/support/world.ts';
import { RUNS, runningRun } from './support/runs.ts';
import { Worker } from './support/worker.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

let w: World<RealParts>;
let worker: Worker;
let operators = 0;

beforeAll(async () => {
  w = await realWorld({ workers: 0 });
  worker = new Worker(w);
  await worker.renew();
});
afterAll(() => w?.close());

/** An operator that no index has yet, and how everything looks before it is added. */
async function prepare() {
  operators += 1;
  const operator = `ferry-${operators}`;
  const bundle = await newOperator(w, operator);
  return { operator, bundle, before: await w.photograph() };
}

describe('an overwriting add whose worker is killed, and another one started', () => {
  test.each(KILL_MOMENTS)('before the %s of "%s" is written: is complete', async (moment, name) => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, name, moment);
    const request = await w.add({ bundles: [bundle] });
    await gate.reached();
    await worker.kill();
    await dropWaiting(w.databaseUrl);
    await gate.open();
    await worker.start();
    await expectPublished(w, await w.end(request), operator, before);
  });
});

const cluster = () => w.sandbox.parts.kubernetes.now;

test('an API server that starts is away to the worker, and never refuses it', async () => {
  const target = serviceCluster(w.sandbox.at);
  const answers: string[] = [];
  const ask = async () => {
    const newcomer = createCluster(target, { call: 20_000, poll: 600_000, log: createLog('silent', 'test') });
    try {
      await newcomer.check();
      return 'allowed';
    } catch (thrown) {
      return thrown instanceof Failure ? thrown.code : String(thrown);
    } finally {
      await newcomer.close();
    }
  };
  await cluster().apiServer.stop();
  const started = cluster().apiServer.start();
  do answers.push(await ask());
  while (answers.at(-1) === 'kubernetes_unavailable');
  await started;
  expect(answers.at(-1)).toBe('allowed');
  expect(answers.length).toBeGreaterThan(1);
});

describe('while the image is built', () => {
  test('the API server is killed and started again: is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const request = await w.add({ bundles: [bundle] });
    await runningRun(w);
    await cluster().apiServer.stop();
    await cluster().apiServer.start();
    await expectPublished(w, await w.end(request), operator, before);
  });

  test('the worker sleeps until etcd has forgotten where its watch was: is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const request = await w.add({ bundles: [bundle] });
    const run = await runningRun(w);
    worker.sleep();
    try {
      const ended = async () => (await clusterAdmin(w.sandbox.layout)('GET', `${RUNS}/${run}`, Ended)).status;
      await expect.poll(ended, { timeout: 120_000 }).toMatchObject({ completionTime: expect.any(String) });
      // Killed, so that the worker's watch is cut off and the server's own memory of changes is gone, too.
      await cluster().apiServer.stop();
      await compact(cluster().etcdUrl);
      await cluster().apiServer.start();
    } finally {
      worker.wake();
    }
    await expectPublished(w, await w.end(request), operator, before);
  });
});

const Ended = z.object({ status: z.object({ completionTime: z.string().optional() }).default({}) });

/** Makes etcd forget all revisions but the newest, as it does by itself every five minutes. */
async function compact(url: string): Promise<void> {
  const etcd = restClient(url, {});
  const Status = z.object({ header: z.object({ revision: z.string() }) });
  const { header } = await etcd('POST', '/v3/maintenance/status', Status, {});
  await etcd('POST', '/v3/kv/compaction', z.unknown(), { revision: header.revision, physical: true });
}
