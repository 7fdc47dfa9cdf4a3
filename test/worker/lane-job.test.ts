import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { requestsOf, updateDelivery } from '../../src/db/deliveries.ts';
import { beginResolving, enterLane, wakeLanes } from '../../src/db/lanes.ts';
import type { SealingKey } from '../../src/db/secrets.ts';
import { addState } from '../../src/db/states.ts';
import { sealSubmission, storeSubmissions } from '../../src/db/submission.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { type LanePorts, runLane } from '../../src/worker/lane-job.ts';
import { type Runner, startRunner } from '../../src/worker/runner.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

const KEY = Buffer.alloc(32) as unknown as SealingKey;
const LANE = { repository: 'https://gitlab.example/catalogs/tea', branch: 'v4.19' };

let database: TestDatabase;
let runner: Runner | undefined;
/** Requests in the order in which they were delivered. */
let delivered: number[];
/** Resolves the request when it is let go. */
let resolvers: Map<number, () => void>;
let onDelivered: () => void;

beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());
beforeEach(() => {
  delivered = [];
  resolvers = new Map();
  onDelivered = () => {};
  return async () => {
    for (const letGo of resolvers.values()) letGo();
    await runner?.stop();
  };
});

async function submit(count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const stored = await database.database.transaction(async (tx) => {
      const one = { type: 'rm' as const, payload: {}, fromIndex: 'reg.example.com/tea:v4.19', secrets: {} };
      const submission = { user: null, annotations: null, requests: [one], pullSpecs: [] };
      return storeSubmissions(tx, [await sealSubmission(tx, KEY, submission)]);
    });
    ids.push(stored[0]?.[0]?.id ?? 0);
  }
  return ids;
}

/** A real runner: resolving waits for the test, delivering ends the request. */
function start(options: { resolveWait?: number; candidatesOf?: LanePorts['candidatesOf'] } = {}): void {
  const { database: db } = database;
  const ports: LanePorts = {
    db,
    resolveWait: options.resolveWait ?? 60_000,
    candidatesOf: options.candidatesOf ?? ((_lane, unresolved) => unresolved),
    async deliver(deliveryId) {
      const requests = await db.read((tx) => requestsOf(tx, deliveryId));
      delivered.push(...requests.map(({ id }) => id));
      await db.transaction(async (tx) => {
        for (const { id } of requests) await addState(tx, id, 'complete', 'done');
        await updateDelivery(tx, deliveryId, { state: 'complete' });
      });
      onDelivered();
    },
  };
  runner = startRunner({
    databaseUrl: database.url,
    concurrency: 20,
    log: createLog('silent', 'test'),
    tasks: (lost) => ({
      async admit(payload) {
        const { requestId } = payload as { requestId: number };
        await db.read((tx) => beginResolving(tx, requestId));
        await new Promise<void>((go) => resolvers.set(requestId, go));
        if (lost.aborted) return;
        await db.transaction(async (tx) => {
          await enterLane(tx, requestId, LANE);
          await wakeLanes(tx, requestId);
        });
      },
      lane: (payload) => runLane(ports, (payload as { laneId: number }).laneId, lost),
    }),
  });
}

const allDelivered = (count: number) =>
  new Promise<void>((resolve) => {
    onDelivered = () => delivered.length >= count && resolve();
    onDelivered();
  });
const resolving = (ids: readonly number[]) =>
  expect.poll(() => ids.every((id) => resolvers.has(id)), { interval: 10 }).toBe(true);

describe('the job of a lane', () => {
  test('delivers in the order of submission, in whatever order requests are resolved', async () => {
    const ids = await submit(12);
    start();
    await resolving(ids);
    const done = allDelivered(ids.length);
    // Each other one first, from the end: the first of all comes last.
    for (const id of [
      ...ids.filter((_, at) => at % 2 === 1).reverse(),
      ...ids.filter((_, at) => at % 2 === 0).reverse(),
    ])
      resolvers.get(id)?.();
    await done;
    expect(delivered).toEqual(ids);
  });

  test('goes on when the older request it waited for has failed', async () => {
    const [first = 0, second = 0] = await submit(2);
    start();
    await resolving([first, second]);
    resolvers.get(second)?.();
    await expect.poll(() => laneOf(second)).not.toBeNull();
    expect(delivered).toEqual([]);
    const done = allDelivered(1);
    await database.database.transaction(async (tx) => {
      await addState(tx, first, 'failed', 'the registry does not know it');
      await wakeLanes(tx, first);
    });
    await done;
    expect(delivered).toEqual([second]);
  });

  test('does not wait for a request that has been resolved for too long', async () => {
    const [first = 0, second = 0] = await submit(2);
    start({ resolveWait: 1 });
    await resolving([first, second]);
    const done = allDelivered(1);
    resolvers.get(second)?.();
    await done;
    expect(delivered).toEqual([second]);
  });

  test('does not wait for a request that cannot belong to the lane', async () => {
    const [first = 0, second = 0] = await submit(2);
    start({ candidatesOf: () => [] });
    await resolving([first, second]);
    const done = allDelivered(1);
    resolvers.get(second)?.();
    await done;
    expect(delivered).toEqual([second]);
  });
});

async function laneOf(id: number): Promise<number | null> {
  const { rows } = await database.database.pool.query('select lane_id from requests where id = $1', [id]);
  return rows[0]?.lane_id ?? null;
}
