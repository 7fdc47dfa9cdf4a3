import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDelivery, readDelivery } from '../../src/db/deliveries.ts';
import type { SealingKey } from '../../src/db/secrets.ts';
import { sealSubmission, storeSubmissions } from '../../src/db/submission.ts';
import { asFailure } from '../../src/errors/failure.ts';
import { type DeliveryPorts, deliver } from '../../src/spine/delivery.ts';
import { Plan } from '../../src/spine/plan.ts';
import type { SagaTimes } from '../../src/spine/saga.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { SOAK } from '../support/soak.ts';
import { databaseOf as artifactOf, imageOf, outsideOf, preparedBy, World } from './support/outside.ts';
import { databaseOf, type Fate, Killed, Schedule } from './support/schedule.ts';

const KEY = Buffer.alloc(32) as unknown as SealingKey;
const LOG = createLog('silent', 'test');
const INDEX = 'reg.example.com/tea/index:v4.19';
const SHARED = 'reg.example.com/index-db:index-v4.19';
const TIMES: SagaTimes = {
  patience: { total: 60_000, first: 0, longest: 0 },
  forward: { total: 60_000, first: 0, longest: 0 },
  undo: { first: 0, longest: 0 },
};

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

interface Case {
  requests: number;
  overwrite: boolean;
  proposal: 'merge-request' | 'direct-commit';
  fates: Fate[];
}

async function newDelivery(count: number): Promise<{ deliveryId: number; ids: number[] }> {
  return database.database.transaction(async (tx) => {
    const one = { type: 'rm' as const, payload: {}, fromIndex: INDEX, secrets: {} };
    const submission = {
      user: null,
      annotations: null,
      requests: Array.from({ length: count }, () => one),
      pullSpecs: [],
    };
    const [stored = []] = await storeSubmissions(tx, [await sealSubmission(tx, KEY, submission)]);
    const ids = stored.map(({ id }) => id);
    return { deliveryId: (await openDelivery(tx, ids, null)) ?? 0, ids };
  });
}

function planOf(world: World, ids: number[], { overwrite, proposal }: Case): Plan {
  const base = world.branches.get('v4.19')?.at(-1)?.sha ?? '';
  const requests = ids.map((id) => ({
    id,
    failurePrefix: '',
    done: 'done',
    output: `reg.example.com/iib-build:${id}`,
    publicOutput: `reg.example.com/iib-build:${id}`,
    buildTags: [`reg.example.com/iib-build:daily`],
    overwrites: overwrite ? { tag: INDEX, digest: world.tags.get(INDEX) ?? null } : null,
    artifact: {
      own: `${SHARED}-${id}`,
      annotations: {},
      shared: { tag: SHARED, digest: world.tags.get(SHARED) ?? null },
    },
    records: { index_image: 'image' as const },
  }));
  return Plan.parse({
    repository: 'https://gitlab.example/tea',
    branch: 'v4.19',
    base,
    sourceBranch: `iib-${ids[0]}`,
    head: world.newCommit(),
    overwrite,
    proposal,
    title: 't',
    description: 'd',
    arches: ['amd64'],
    requests,
  });
}

function newWorld(): World {
  const world = new World();
  world.branches.set('v4.19', [{ sha: world.newCommit() }]);
  world.tags.set(INDEX, imageOf('0'));
  world.tags.set(SHARED, `sha256:${'c'.repeat(64)}`);
  world.tags.set('reg.example.com/other:1', imageOf('1'));
  return world;
}

/** Jobs work on one delivery, one after the other, until it is over; frozen ones go on while the next one works. */
async function carryOut(given: Case) {
  const world = newWorld();
  const { deliveryId, ids } = await newDelivery(given.requests);
  const before = world.photograph();
  const schedule = new Schedule(given.fates);
  const zombies: Promise<unknown>[] = [];
  let made = 0;

  const startJob = (job: number) => {
    const stop = new AbortController();
    let frozen = () => {};
    const standsStill = new Promise<'frozen'>((tell) => {
      frozen = () => tell('frozen');
    });
    const touch = schedule.jobOf(stop, frozen);
    const ports: DeliveryPorts = {
      db: databaseOf(database.database, touch),
      logFor: () => LOG,
      times: TIMES,
      prepare: (requests) =>
        touch('read', () => {
          made += 1;
          return preparedBy(
            world,
            job,
            touch,
            planOf(
              world,
              requests.map(({ id }) => id),
              given,
            ),
          );
        }),
      open: async () => outsideOf(world, job, touch),
    };
    const work = deliver(ports, deliveryId, stop.signal).then(
      () => 'over' as const,
      (thrown: unknown) => {
        const { code } = asFailure(thrown);
        const again = ['lease_lost', 'database_unavailable'].includes(code) || stop.signal.aborted;
        if (thrown instanceof Killed || again) return 'again' as const;
        throw thrown;
      },
    );
    return { work, standsStill };
  };

  for (let job = 1; ; job += 1) {
    if (job > 200) throw new Error('the delivery never ended');
    const { work, standsStill } = startJob(job);
    // Those that stood still before go on beside this job, from some point of its work.
    schedule.resume();
    const came = await Promise.race([work, standsStill]);
    if (came === 'frozen') zombies.push(work);
    if (came === 'over') break;
  }
  schedule.resume();
  await Promise.all(zombies);
  const delivery = await database.database.read((tx) => readDelivery(tx, deliveryId));
  const { rows: requests } = await database.database.pool.query(
    'select id, state from requests where delivery_id = $1 order by id',
    [deliveryId],
  );
  const { rows: journal } = await database.database.pool.query(
    'select name, outcome, notes, undone_at from delivery_steps where delivery_id = $1 order by seq',
    [deliveryId],
  );
  return { world, before, delivery, requests, journal, ids, made, touches: schedule.touches };
}

type Result = Awaited<ReturnType<typeof carryOut>>;

/** Complete with everything in its place, or failed with everything as before. */
function expectWhole({ overwrite, proposal }: Case, { world, before, delivery, requests, journal, ids }: Result): void {
  const after = world.photograph();
  expect(after.open).toBe(0);
  if (delivery?.state === 'undone') {
    expect(requests.map(({ state }) => state)).toEqual(ids.map(() => 'failed'));
    expect(after).toEqual(before);
    expect(journal.filter(({ undone_at: undone }) => undone === null)).toEqual([]);
    return;
  }
  expect(delivery?.state).toBe('complete');
  expect(requests.map(({ state }) => state)).toEqual(ids.map(() => 'complete'));
  const { head } = Plan.parse(delivery?.plan);
  const standing = journal.filter(({ undone_at: undone }) => undone === null);
  const names = ['artifact', 'propose', 'build', 'stage', overwrite ? 'merge' : 'close', 'publish'];
  expect(standing.map(({ name }) => name)).toEqual(names);
  expect(standing.filter(({ outcome }) => outcome === null)).toEqual([]);
  const last = ids.at(-1) ?? 0;
  expect(after.tags).toEqual({
    ...before.tags,
    'reg.example.com/iib-build:daily': imageOf(head),
    ...Object.fromEntries(ids.map((id) => [`reg.example.com/iib-build:${id}`, imageOf(head)])),
    ...Object.fromEntries(ids.map((id) => [`${SHARED}-${id}`, artifactOf(head, id)])),
    ...(overwrite ? { [INDEX]: imageOf(head), [SHARED]: artifactOf(head, last) } : {}),
  });
  // Of the source branch nothing is left, or it is told that something is.
  const { [Plan.parse(delivery?.plan).sourceBranch]: left, ...branches } = after.branches;
  if (left !== undefined) expect(standing.some(({ notes }) => notes?.source_branch_remains !== undefined)).toBe(true);
  expect(branches).toEqual({ 'v4.19': [...(before.branches['v4.19'] ?? []), ...(overwrite ? [head] : [])] });
  expect(proposal).toBe(Plan.parse(delivery?.plan).proposal);
}

/** Once a job that took over has had an effect, no job before it has one. */
function expectFenced({ world }: Result): void {
  let newest = 0;
  for (const { job, what } of world.effects) {
    if (job < newest) throw new Error(`job ${job} did "${what}" after job ${newest} had taken over`);
    newest = job;
  }
}

const fate = fc.oneof(
  { weight: 30, arbitrary: fc.constant<Fate>('fine') },
  ...(['fails before', 'fails after', 'killed before', 'killed after', 'stopped', 'frozen'] as const).map((one) => ({
    weight: 2,
    arbitrary: fc.constant<Fate>(one),
  })),
  { weight: 1, arbitrary: fc.constant<Fate>('is refused') },
  { weight: 1, arbitrary: fc.constant<Fate>('has moved') },
);
const anyCase: fc.Arbitrary<Case> = fc.record({
  requests: fc.integer({ min: 1, max: 3 }),
  overwrite: fc.boolean(),
  proposal: fc.constantFrom('merge-request' as const, 'direct-commit' as const),
  fates: fc.array(fate, { maxLength: 150, size: 'max' }),
});

describe('a delivery, on a real database', () => {
  test('is complete when nothing goes wrong', async () => {
    for (const overwrite of [true, false])
      for (const proposal of ['merge-request', 'direct-commit'] as const) {
        const given: Case = { requests: 2, overwrite, proposal, fates: [] };
        const result = await carryOut(given);
        expect(result.delivery?.state).toBe('complete');
        expectWhole(given, result);
      }
  });

  test('is complete or undone after any schedule of failures, stops, kills and takeovers', async () => {
    const seen = { complete: 0, undone: 0 };
    await fc.assert(
      fc.asyncProperty(anyCase, async (given) => {
        const result = await carryOut(given);
        expectWhole(given, result);
        expectFenced(result);
        seen[result.delivery?.state === 'complete' ? 'complete' : 'undone'] += 1;
      }),
      { numRuns: SOAK ? 5000 : 300 },
    );
    expect(Math.min(seen.complete, seen.undone)).toBeGreaterThan(10);
  }, 3_600_000);
});
