import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.loginDisabled = true;
    config.api.maxPerPage = 50;
  });
});
afterAll(() => api.close());

const BASE = { from_index: 'reg.example.com/index:v4.16', binary_image: 'scratch' };
const create = async (type: string, json: object, user = 'alice'): Promise<number> =>
  (await api.ask('POST', `/api/v1/builds/${type}`, { json: { ...BASE, ...json }, user })).json.id;
const finish = async (id: number, state = 'complete') =>
  api.ask('PATCH', `/api/v1/builds/${id}`, { json: { state, state_reason: 'over' } });
const list = async (query: string) => (await api.ask('GET', `/api/v1/builds?${query}`)).json;
const idsOf = async (query: string): Promise<number[]> => (await list(query)).items.map(({ id }: { id: number }) => id);

/** Statements the service sends while `work` runs. */
async function statements(work: () => Promise<unknown>): Promise<string[]> {
  const { pool } = api.world.database;
  const { query } = pool;
  const seen: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads
  pool.query = ((...args: any[]) => {
    seen.push(args[0].text ?? args[0]);
    return Reflect.apply(query, pool, args);
  }) as typeof query;
  try {
    await work();
  } finally {
    pool.query = query;
  }
  return seen;
}

describe('times and order', () => {
  let ids: number[];
  beforeAll(async () => {
    ids = [];
    for (const operator of ['a', 'b', 'c', 'd']) ids.push(await create('rm', { operators: [operator] }, 'timed'));
    for (const at of [2, 0, 3]) await finish(ids[at] ?? 0);
  });

  test('by the time of completion, what is in progress counting as last', async () => {
    expect(await idsOf('user=timed&order_by=completed')).toEqual([ids[2], ids[0], ids[3], ids[1]]);
    expect(await idsOf('user=timed&order_by=-completed')).toEqual([ids[1], ids[3], ids[0], ids[2]]);
    expect(await idsOf('user=timed&order_by=-modified')).toEqual([ids[3], ids[0], ids[2], ids[1]]);
    expect(await idsOf('user=timed&order_by=submitted')).toEqual(ids);
    expect(await idsOf('user=timed&order_by=id&per_page=2&page=2')).toEqual([ids[2], ids[3]]);
  });

  test('after includes its time, before does not', async () => {
    const { items } = await list('user=timed&order_by=modified');
    const [, second] = items;
    const [submitted] = await submissions(ids[2] ?? 0);
    expect(await idsOf(`user=timed&modified_after=${second.updated}&order_by=modified`)).toEqual(
      items.slice(1).map(({ id }: { id: number }) => id),
    );
    expect(await idsOf(`user=timed&modified_before=${second.updated}`)).toEqual([items[0].id]);
    expect(await idsOf(`user=timed&submitted_before=${submitted}&order_by=id`)).toEqual(ids.slice(0, 2));
    expect(await idsOf(`user=timed&completed_after=${submitted}&order_by=completed`)).toEqual([ids[2], ids[0], ids[3]]);
    expect(await idsOf('user=timed&completed_before=2020-01-01')).toEqual([]);
  });

  test.each([
    '2026-01-01',
    '2026-01-01T10:00Z',
    '2026-01-01 10:00:00.5',
    '2026-01-01T10:00:00%2B02:00',
    '2026-01-01T10:00:00+0200',
  ])('%s is a time', async (text) => expect(await idsOf(`user=timed&submitted_before=${text}`)).toEqual([]));

  test.each([
    'yesterday',
    '2026-13-01',
    '2026-02-30',
    '2026-02-29',
    '2026-04-31T10:00',
    '0000-01-01',
    '2026-01-01T25:00',
    '1',
  ])('%s is none', async (text) => {
    const { status, json } = await api.ask('GET', `/api/v1/builds?completed_after=${text}`);
    expect([status, json.error]).toEqual([400, 'completed_after must be an ISO 8601 date, with or without a time']);
  });

  test('an order nobody knows', async () => {
    const { json } = await api.ask('GET', '/api/v1/builds?order_by=color');
    expect(json.error).toBe(
      'order_by must be one of id, submitted, modified, completed, with a - before it for descending order',
    );
  });

  test('links of pages repeat filters and order', async () => {
    const { meta } = await list('user=timed&order_by=-modified&submitted_after=2020-01-01&per_page=3&verbose=1');
    expect(meta.next).toContain('&user=timed&submitted_after=2020-01-01&order_by=-modified&verbose=true');
    const second = await api.ask('GET', new URL(meta.next).pathname + new URL(meta.next).search);
    expect(second.json.items).toHaveLength(1);
  });
});

async function submissions(id: number): Promise<string[]> {
  const { json } = await api.ask('GET', `/api/v1/builds/${id}`);
  return json.state_history.map(({ updated }: { updated: string }) => updated).reverse();
}

test('fragments are found in both forms', async () => {
  const single = await create('fbc-operations', { fbc_fragment: 'f:1' });
  const several = await create('fbc-operations', { fbc_fragments: ['g:1', 'f:1'] });
  expect(await idsOf('fbc_fragment=f:1')).toEqual([several, single]);
  expect(await idsOf('fbc_fragment=g:1')).toEqual([several]);
  expect(await idsOf('fbc_fragment=h:1')).toEqual([]);
});

describe('totals', () => {
  const total = async (query: string): Promise<number> => (await list(`${query}&per_page=1`)).meta.total;
  let user = '';
  let made = 0;
  beforeEach(() => {
    made += 1;
    user = `counted-${made}`;
  });
  const many = async (count: number) => {
    const build_requests = Array.from({ length: count }, () => ({ ...BASE, operators: ['x'] }));
    const answer = await api.ask('POST', '/api/v1/builds/add-rm-batch', { json: { build_requests }, user });
    return answer.json.map(({ id }: { id: number }) => id) as number[];
  };

  test('stay exact while requests come and end', async () => {
    const ids = await many(300);
    expect(await total(`user=${user}`)).toBe(300);
    expect(await total(`user=${user}`)).toBe(300);
    await many(5);
    expect(await total(`user=${user}`)).toBe(305);
    expect(await total(`user=${user}&state=in_progress`)).toBe(305);
    for (const id of ids.slice(0, 3)) await finish(id, 'failed');
    expect(await total(`user=${user}&state=failed`)).toBe(3);
    await finish(ids[3] ?? 0);
    await api.ask('PATCH', `/api/v1/builds/${ids[0]}`, { json: { state: 'failed', state_reason: 'and more' } });
    for (const [state, count] of Object.entries({ failed: 3, complete: 1, in_progress: 301 })) {
      expect([state, await total(`user=${user}&state=${state}`)]).toEqual([state, count]);
    }
  });

  test('count what a slow transaction brings after younger ones were counted', async () => {
    await many(250);
    const slow = await api.world.database.pool.connect();
    await slow.query('begin');
    await slow.query(`insert into batches default values`);
    await slow.query(
      `insert into requests (batch_id, type, "user", payload) select max(id), 'rm', $1, '{"operators":[]}' from batches`,
      [user],
    );
    await many(10);
    expect(await total(`user=${user}&request_type=rm`)).toBe(260);
    await slow.query('commit');
    slow.release();
    expect(await total(`user=${user}&request_type=rm`)).toBe(261);
    await many(1);
    expect(await total(`user=${user}&request_type=rm`)).toBe(262);
  });

  test('of ended requests count many at once', async () => {
    await many(260);
    const { pool } = api.world.database;
    await pool.query(
      `insert into request_states (request_id, state, state_reason) select id, 'complete', 'done' from requests where "user" = $1`,
      [user],
    );
    expect(await total(`user=${user}&state=complete`)).toBe(260);
    const [last = 0] = await many(1);
    await finish(last);
    expect(await total(`user=${user}&state=complete`)).toBe(261);
    expect(await total(`user=${user}&completed_after=2020-01-01`)).toBe(261);
  });
});

test.each(['', 'verbose=true', 'state=in_progress&from_index=reg.example.com/index:v4.16', 'order_by=modified'])(
  'a page is one query: %s',
  async (query) => {
    await create('add', { bundles: ['b:1', 'b:2'] });
    const seen = await statements(() => list(`${query}&per_page=50`));
    expect(seen).toHaveLength(1);
  },
);
