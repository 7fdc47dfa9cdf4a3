import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApi, testApi } from '../support/api.ts';

/** Rows that an earlier version accepted and this one would refuse: stored by SQL, as no route stores them any more. */
let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.workerUsers = ['worker'];
  });
});
afterAll(() => api.close());

const query = (text: string, values: unknown[] = []) => api.world.database.pool.query(text, values);
const add = { from_index: 'i:1', binary_image: 'scratch', bundles: ['b:1'] };
const post = async (route: string, json: object) =>
  (await api.ask('POST', `/api/v1/builds/${route}`, { user: 'alice', json })).json;

/** Bytes an answer may have: far below what a string can be, and what a client minds. */
const BOUND = 32 * 1024 * 1024;

/** Every key keeps its type, since clients read all of them. */
function shapeOf(value: object) {
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, Array.isArray(of) ? 'list' : typeof of]));
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every type
async function both(id: number, usual: object): Promise<{ one: any; item: any }> {
  const one = await api.ask('GET', `/api/v1/builds/${id}`);
  const page = await api.ask('GET', `/api/v1/builds?verbose=true&batch=${one.json.batch}`);
  for (const { status, text } of [one, page]) {
    expect(status).toBe(200);
    expect(text.length).toBeLessThan(BOUND);
  }
  const item = page.json.items.find((found: { id: number }) => found.id === id);
  expect(shapeOf(one.json)).toEqual(shapeOf(usual));
  expect(shapeOf(item)).toEqual(shapeOf(usual));
  return { one: one.json, item };
}

test.each([
  ['a text', `jsonb_build_object('organization', repeat('x', 16000000))`, 'organization', '[cut: 16000000 characters]'],
  [
    'a text in another alphabet',
    `jsonb_build_object('organization', repeat('é', 3000000))`,
    'organization',
    '[cut: 3000000 characters]',
  ],
  [
    'a list',
    `jsonb_build_object('bundles', (select jsonb_agg('reg.example.com/bundle:' || n) from generate_series(1, 300000) n))`,
    'bundles',
    '[cut: 300000 items in all]',
  ],
  ['a long item', `jsonb_build_object('bundles', jsonb_build_array(repeat('y', 6000000) || ':1'))`, 'bundles', '[cut]'],
])('%s of megabytes is cut with a word, in lists and alone', async (_, payload, key, word) => {
  const usual = await post('add', { ...add, organization: 'acme' });
  await query(`update requests set payload = payload || ${payload} where id = $1`, [usual.id]);
  const { one, item } = await both(usual.id, usual);
  expect(JSON.stringify(one[key])).toContain(word);
  expect(JSON.stringify(item[key])).toContain(word);
  expect(item.from_index).toBe('i:1');
});

test('what fits in an answer alone and not in a page is whole in the one', async () => {
  const usual = await post('add', { ...add, organization: 'acme' });
  const bundles = Array.from({ length: 4000 }, (_, n) => `reg.example.com/${'z'.repeat(200)}:${n}`);
  const { json } = await api.ask('POST', '/api/v1/builds/add', { user: 'alice', json: { ...add, bundles } });
  expect(json.bundles).toEqual(bundles);
  const { one, item } = await both(json.id, usual.organization === null ? usual : { ...usual, organization: null });
  expect(one.bundles).toEqual(bundles);
  expect(item.bundles).toHaveLength(51);
  const { json: alone } = await api.ask('GET', '/api/v1/builds?per_page=1');
  expect(alone.items[0].bundles).toEqual(bundles);
});

test('labels, annotations, reasons and what workers said are cut, too', async () => {
  const empty = await post('create-empty-index', { from_index: 'i:1', binary_image: 'scratch', labels: { a: 'b' } });
  await query(
    `update requests set payload = payload || jsonb_build_object('labels',
    jsonb_build_object('a', repeat('l', 6000000))) where id = $1`,
    [empty.id],
  );
  expect((await both(empty.id, empty)).item.labels).toEqual({ '[cut]': expect.stringMatching(/^6\d{6} bytes$/) });

  const batch = { annotations: { a: 1 }, build_requests: [add, add] };
  const [first] = await post('add-rm-batch', batch);
  await query(`update batches set annotations = '{"a":"' || repeat('a', 6000000) || '"}' where id = $1`, [first.batch]);
  expect((await both(first.id, first)).item.batch_annotations).toEqual({ '[cut]': '6000008 bytes' });

  const worked = await post('add', add);
  await query(
    `update requests set outcome = jsonb_build_object('omps_operator_version',
    '{"a":"' || repeat('o', 6000000) || '"}', 'index_image', repeat('i', 6000000)) where id = $1`,
    [worked.id],
  );
  const { one } = await both(worked.id, { ...worked, index_image: '' });
  expect(one.omps_operator_version).toEqual({ '[cut]': '6000008 characters' });
  expect(one.index_image).toContain('[cut: 6000000 characters]');
});

test('a long history shows its newest states and says how many it leaves out', async () => {
  const usual = await post('add', add);
  await query(
    `insert into request_states (request_id, state, state_reason)
      select $1, 'in_progress', n || repeat('r', 60000) from generate_series(1, 120) n order by n`,
    [usual.id],
  );
  const { one, item } = await both(usual.id, usual);
  expect(one.state_reason).toBe(`120${'r'.repeat(60_000)}`);
  expect(one.state_history[0].state_reason).toBe(one.state_reason);
  const cut = (shown: { state_history: { state_reason: string }[] }) =>
    Number(/^\[cut: (\d+) states\]$/.exec(shown.state_history.at(-1)?.state_reason ?? '')?.[1]);
  for (const shown of [one, item]) expect(shown.state_history.length - 1 + cut(shown)).toBe(121);
});

test('a page of the largest requests is answered whole', async () => {
  for (let n = 0; n < 20; n += 1) await post('add', { ...add, organization: 'acme' });
  await query(`update requests set payload = payload || jsonb_build_object('organization', repeat('é', 4000000),
    'deprecation_list', jsonb_build_array(repeat('d', 1500000))) where type = 'add' and id > (select max(id) - 20 from requests)`);
  const before = process.memoryUsage().rss;
  const { status, text, json } = await api.ask('GET', '/api/v1/builds?verbose=true');
  expect([status, json.items.length]).toEqual([200, 20]);
  expect(text.length).toBeLessThan(BOUND);
  expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024);
});
