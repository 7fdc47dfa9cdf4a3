import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ask, type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.close());

const rm = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
const post = (key: string, json: object = rm, { route = 'rm', user = 'alice' } = {}) =>
  api.ask('POST', `/api/v1/builds/${route}`, { user, json, headers: { 'idempotency-key': key } } satisfies Ask);
const stored = async () => (await api.world.database.pool.query('select count(*)::int as n from requests')).rows[0].n;

test('the same key with the same body gives the first answer, to the byte', async () => {
  const first = await post('a');
  const count = await stored();
  const again = await post('a');
  expect([again.status, again.text]).toEqual([201, first.text]);
  expect([first, again].map(({ headers }) => headers.get('idempotent-replayed'))).toEqual([null, 'true']);
  expect(await stored()).toBe(count);
});

test('the same key with another body, or on another route, is a conflict', async () => {
  await post('b');
  const other = await post('b', { ...rm, operators: ['other'] });
  expect([other.status, other.json.error]).toEqual([409, 'The "Idempotency-Key" was used for another request']);
  expect(other.headers.get('x-error-code')).toBe('idempotency_conflict');
  const batch = { build_requests: [rm] };
  expect((await post('b', batch, { route: 'add-rm-batch' })).status).toBe(409);
});

test('a batch is stored once, too', async () => {
  const batch = { build_requests: [rm, rm] };
  const first = await post('c', batch, { route: 'add-rm-batch' });
  expect((await post('c', batch, { route: 'add-rm-batch' })).text).toBe(first.text);
});

test('keys of different principals do not meet', async () => {
  const { json } = await post('d');
  expect((await post('d', rm, { user: 'bob' })).json.id).not.toBe(json.id);
});

test('many at once: one is stored, all get its answer', async () => {
  const before = await stored();
  const answers = await Promise.all(Array.from({ length: 8 }, () => post('e')));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(await stored()).toBe(before + 1);
});

test('a refused request leaves its key free', async () => {
  expect((await post('f', { ...rm, from_index: 'untagged' })).status).toBe(400);
  expect((await post('f')).status).toBe(201);
});

test('keys expire', async () => {
  const { json } = await post('g');
  await api.world.database.pool.query(`update idempotency_keys set expires_at = now() - interval '1 second'`);
  expect((await post('g')).json.id).not.toBe(json.id);
});

test('a key is neither empty nor endless', async () => {
  for (const key of ['', 'x'.repeat(256)]) expect((await post(key)).status).toBe(400);
});
