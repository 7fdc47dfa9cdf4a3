import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sqlState } from '../../src/db/failure.ts';
import { findRequest } from '../../src/db/requests.ts';
import { requestStates, requests } from '../../src/db/schema.ts';
import type { SealingKey } from '../../src/db/secrets.ts';
import { addState, recordOutcome } from '../../src/db/states.ts';
import { sealSubmission, storeSubmissions } from '../../src/db/submission.ts';
import { Failure } from '../../src/errors/failure.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

/** Nothing is sealed with it here. */
const KEY = Buffer.alloc(32) as unknown as SealingKey;

let test_: TestDatabase;
beforeAll(async () => {
  test_ = await freshDatabase();
});
afterAll(() => test_.drop());

const inTransaction: TestDatabase['database']['transaction'] = (work) => test_.database.transaction(work);

function newRequest(payload: object = { operators: ['webapp'] }): Promise<number> {
  return inTransaction(async (tx) => {
    const fromIndex = 'reg.example.com/index:v4.16';
    const requests = [{ type: 'rm' as const, payload, fromIndex, secrets: {} }];
    const submission = { user: null, annotations: null, requests, pullSpecs: [] };
    const [stored] = await storeSubmissions(tx, [await sealSubmission(tx, KEY, submission)]);
    return stored?.[0]?.id ?? 0;
  });
}

const read = (id: number) => inTransaction((tx) => findRequest(tx, id));
const history = async (id: number) => (await read(id))?.history ?? [];

test('a new request has its first state, its job and no outcome', async () => {
  const id = await newRequest();
  expect(await read(id)).toMatchObject({
    state: 'in_progress',
    stateReason: 'The request was initiated',
    updated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/),
    outcome: {},
  });
  const { rows } = await test_.database.pool.query(
    `select task_identifier, payload, max_attempts from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id, lateral (select t.identifier task_identifier) x
      where j.key = 'admit:' || $1::int`,
    [id],
  );
  expect(rows).toEqual([{ task_identifier: 'admit', payload: { requestId: id }, max_attempts: 1000 }]);
});

test('states append; the same state and reason twice is one entry', async () => {
  const id = await newRequest();
  expect(await inTransaction((tx) => addState(tx, id, 'in_progress', 'busy'))).toBe('added');
  expect(await inTransaction((tx) => addState(tx, id, 'in_progress', 'busy'))).toBe('unchanged');
  expect((await history(id)).map(({ stateReason }) => stateReason)).toEqual(['busy', 'The request was initiated']);
});

test('a final state takes a new reason but no other state', async () => {
  const id = await newRequest();
  await inTransaction((tx) => addState(tx, id, 'failed', 'first'));
  expect(await inTransaction((tx) => addState(tx, id, 'failed', 'second'))).toBe('added');
  const change = inTransaction((tx) => addState(tx, id, 'in_progress', 'again'));
  await expect(change).rejects.toThrow(new Failure('request_finished', 'A failed request cannot change states'));
  expect(await read(id)).toMatchObject({ state: 'failed', stateReason: 'second' });
});

test('the database itself refuses what the history must not have', async () => {
  const id = await newRequest();
  await inTransaction((tx) => addState(tx, id, 'complete', 'done'));
  const { db } = test_.database;
  const reopened = db.insert(requestStates).values({ requestId: id, state: 'failed', stateReason: 'x' });
  expect(sqlState(await reopened.catch((thrown) => thrown))).toBe('IW001');
  const rewritten = db.update(requestStates).set({ stateReason: 'x' }).where(eq(requestStates.requestId, id));
  await expect(rewritten).rejects.toMatchObject({ cause: { message: 'request_states is append-only' } });
  const removed = db.delete(requestStates).where(eq(requestStates.requestId, id));
  await expect(removed).rejects.toMatchObject({ cause: { message: 'request_states is append-only' } });
  const past = db.update(requests).set({ state: 'in_progress' }).where(eq(requests.id, id));
  await expect(past).rejects.toMatchObject({ cause: { message: expect.stringContaining('request_states') } });
  await db.update(requests).set({ resolvingSince: '2026-01-01T00:00:00Z' }).where(eq(requests.id, id));
});

test('concurrent ends of one request: one wins, the other is told', async () => {
  const id = await newRequest();
  const ends = await Promise.allSettled(
    (['complete', 'failed'] as const).map((state) => inTransaction((tx) => addState(tx, id, state, 'over'))),
  );
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(await history(id)).toHaveLength(2);
});

test('an outcome is merged: arches grow, keys replace, images become filters', async () => {
  const id = await newRequest();
  await inTransaction((tx) => recordOutcome(tx, id, { arches: ['s390x', 'amd64'], binary_image: 'a:1' }));
  await inTransaction((tx) => recordOutcome(tx, id, { arches: ['amd64', 'arm64'], index_image: 'i:1' }));
  await inTransaction((tx) => recordOutcome(tx, id, { arches: [], binary_image: 'a:2' }));
  expect((await read(id))?.outcome).toEqual({
    arches: expect.arrayContaining(['amd64', 'arm64', 's390x']),
    binary_image: 'a:2',
    index_image: 'i:1',
  });
  const [row] = await test_.database.db.select().from(requests).where(eq(requests.id, id));
  expect(row?.indexImage).toBe('i:1');
  const known = await test_.database.db.execute(sql`select spec from pull_specs order by spec`);
  expect(known.rows.map(({ spec }) => spec)).toEqual(['a:1', 'a:2', 'i:1']);
});

test('a bundle mapping names packages for everybody, the newest name counts', async () => {
  const id = await newRequest();
  const bundle_mapping = { webapp: ['b:1', 'b:2'] };
  await inTransaction((tx) => recordOutcome(tx, id, { bundle_mapping }));
  await inTransaction((tx) => recordOutcome(tx, id, { bundle_mapping: { cachectl: ['b:2'] } }));
  const shown = await read(await newRequest({ bundles: ['b:1', 'b:2', 'b:3'] }));
  expect(Object.fromEntries(shown?.packages ?? [])).toEqual({ 'b:1': 'webapp', 'b:2': 'cachectl' });
});
