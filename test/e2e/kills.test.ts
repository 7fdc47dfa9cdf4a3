import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { Anything } from '../../src/sandbox/rest.ts';
import { SOAK } from '../support/soak.ts';
import { dropWaiting, type Gate, gateAt } from './support/gate.ts';
import { KILL_MOMENTS, type KillMoment } from './support/kill-moments.ts';
import { ADDED, expectPublished, expectUndone, newOperator, operatorsOf } from './support/proof.ts';
import { type World, world } from './support/world.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let w: World;
/** The one worker that runs between two tests. */
let worker: RunningProgram;
let operators = 0;

beforeAll(async () => {
  w = await world({ workers: 0 });
  worker = await newWorker();
});
afterAll(() => w?.close());

const LONG = { timeout: 120_000 };
const logs = new Map<RunningProgram, string>();
const logOf = (program: RunningProgram) => logs.get(program) ?? '';

async function newWorker(): Promise<RunningProgram> {
  const name = `worker-${logs.size + 1}`;
  const started = await w.sandbox.startWorker(name);
  logs.set(started, w.sandbox.layout.path('logs', `${name}.log`));
  return started;
}

async function epochOf(request: number): Promise<number> {
  const sql =
    'select epoch from deliveries join requests on requests.delivery_id = deliveries.id where requests.id = $1';
  const [row] = await w.query(sql, z.object({ epoch: z.number() }), [request]);
  return row?.epoch ?? 0;
}

/** An operator that no index has yet, and how everything looks before it is added. */
async function prepare() {
  operators += 1;
  const operator = `lantern-${operators}`;
  const bundle = await newOperator(w, operator);
  return { operator, bundle, before: await w.photograph() };
}

/** kill -9 of the worker that stands at the gate: what it was about to write is never written. */
async function killAt(gate: Gate): Promise<void> {
  await gate.reached();
  await worker.kill();
  await dropWaiting(w.databaseUrl);
  await gate.open();
}

const REFUSED = { status: 403, message: '403 Forbidden: the release is frozen' };

describe('an overwriting add whose worker is killed, and another one started', () => {
  /** One request, its worker killed at each of these moments. */
  async function killedAt([first, ...others]: [KillMoment, ...KillMoment[]]): Promise<void> {
    const { operator, bundle, before } = await prepare();
    const gateOf = ([moment, name]: KillMoment) => gateAt(w.databaseUrl, name, moment);
    let gate = await gateOf(first);
    const request = await w.add({ bundles: [bundle] });
    for (const next of others) {
      await killAt(gate);
      gate = await gateOf(next);
      worker = await newWorker();
    }
    await killAt(gate);
    worker = await newWorker();
    await expectPublished(w, await w.end(request), operator, before);
  }

  test(`at each of ${KILL_MOMENTS.length} moments in turn: is complete`, () => killedAt(KILL_MOMENTS));

  test.skipIf(!SOAK).each(KILL_MOMENTS)('before the %s of "%s" is written: is complete', (...moment) =>
    killedAt([moment]),
  );

  test('before it has a lane: is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, 'v4.19', 'admission');
    const request = await w.add({ bundles: [bundle] });
    await killAt(gate);
    worker = await newWorker();
    await expectPublished(w, await w.end(request), operator, before);
  });

  test('once while each step is undone: has failed, and nothing is left', async () => {
    const { bundle, before } = await prepare();
    w.sandbox.parts.gitlab.now.faults.refuseMerge(REFUSED);
    let gate = await gateAt(w.databaseUrl, 'merge', 'undone');
    const request = await w.add({ bundles: [bundle] });
    for (const step of ['stage', 'build', 'propose', 'artifact', null]) {
      await gate.reached();
      await worker.kill();
      await dropWaiting(w.databaseUrl);
      await gate.open();
      if (step !== null) gate = await gateAt(w.databaseUrl, step, 'undone');
      worker = await newWorker();
    }
    await expectUndone(w, await w.end(request), 'the release is frozen', before);
  });

  test('while it is undone because its build failed: has failed, and nothing is left', async () => {
    const { bundle, before } = await prepare();
    w.sandbox.parts.kubernetes.now.tekton.endNext({ status: 'False', reason: 'Failed', message: 'no quota' });
    const gate = await gateAt(w.databaseUrl, 'propose', 'undone');
    const request = await w.add({ bundles: [bundle] });
    await killAt(gate);
    worker = await newWorker();
    await expectUndone(w, await w.end(request), 'failed: no quota', before);
  });

  test('while it is undone because somebody pushed, to be built again: is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const { faults } = w.sandbox.parts.pipelinesAsCode.now;
    faults.hold();
    const gate = await gateAt(w.databaseUrl, 'propose', 'undone');
    const request = await w.add({ bundles: [bundle] });
    await w.reason(request, /^Waiting on KONFLUX build$/);
    const file = { branch: 'v4.19', content: 'ours\n', commit_message: 'Say whose it is' };
    await w.gitlab('POST', `${w.project()}/repository/files/OWNERS`, Anything, file);
    faults.release();
    await killAt(gate);
    worker = await newWorker();
    await expectPublished(w, await w.end(request), operator, before);
  });
});

describe('workers that are there already', () => {
  test('take over what a killed one was doing', async () => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, 'build', 'outcome');
    const request = await w.add({ bundles: [bundle] });
    await gate.reached();
    const standing = await newWorker();
    await killAt(gate);
    worker = standing;
    await expectPublished(w, await w.end(request), operator, before);
  });

  test('do not overtake a request that was interrupted between merge and publication', async () => {
    const [first, second] = [await prepare(), await prepare()];
    const gate = await gateAt(w.databaseUrl, 'publish', 'intent');
    const interrupted = await w.add({ bundles: [first.bundle] });
    await gate.reached();
    const waiting = await w.add({ bundles: [second.bundle] });
    const standing = await newWorker();
    const stopped = worker.stop();
    await expect.poll(() => readFileSync(logOf(worker), 'utf8'), LONG).toContain('"msg":"stopping"');
    await gate.open();
    await stopped;
    worker = standing;
    expect(await w.end(interrupted)).toMatchObject({ state: 'complete', state_reason: ADDED });
    await expectPublished(w, await w.end(waiting), second.operator, second.before, [interrupted]);
    expect((await operatorsOf(w)).image).toContain(first.operator);
  });

  test('let a request go that another one has taken over, and the other goes on', async () => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, 'stage', 'outcome');
    const request = await w.add({ bundles: [bundle] });
    await gate.reached();
    const standing = await newWorker();
    const epoch = await epochOf(request.id);
    // The connection that says "I live" is cut, as a firewall would: the process lives, and must not go on.
    await w.query(
      `select pg_terminate_backend(l.pid) from pg_locks l
       join graphile_worker._private_jobs j on l.objid = (hashtext(j.locked_by)::bigint & 4294967295)::oid
       where l.locktype = 'advisory' and l.classid = 4242`,
      z.unknown(),
    );
    await gate.open();
    await expectPublished(w, await w.end(request), operator, before);
    expect(await epochOf(request.id)).toBeGreaterThan(epoch);
    await worker.stop();
    worker = standing;
  });
});
