import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.loginDisabled = true;
  });
});
afterAll(() => api.close());

const BASE = { from_index: 'reg.example.com/index:v4.16', binary_image: 'scratch' };

async function create(type: string, json: object): Promise<number> {
  return (await api.ask('POST', `/api/v1/builds/${type}`, { json: { ...BASE, ...json } })).json.id;
}
const patch = (id: number, json: object) => api.ask('PATCH', `/api/v1/builds/${id}`, { json });

test('numbers inside omps_operator_version are shown as they came', async () => {
  const id = await create('add', { bundles: ['b:1'] });
  const { text } = await patch(id, { omps_operator_version: '{"v":1.0,"big":12345678901234567890}' });
  expect(text).toContain('"omps_operator_version":{"big":12345678901234567890,"v":1.0}');
});

test('a refused PATCH changes nothing, not even by its good keys', async () => {
  const id = await create('rm', { operators: ['webapp'] });
  const before = (await api.ask('GET', `/api/v1/builds/${id}`)).text;
  const { status, json } = await patch(id, {
    state: 'complete',
    state_reason: 'done',
    arches: ['amd64'],
    index_image: 'no-tag',
  });
  expect([status, json.error]).toEqual([400, 'Image no-tag should have a tag or a digest specified.']);
  expect((await api.ask('GET', `/api/v1/builds/${id}`)).text).toBe(before);
});

test('the texts of final states come before the pull specs and are exact', async () => {
  const id = await create('rm', { operators: ['webapp'] });
  await patch(id, { state: 'failed', state_reason: 'over' });
  const { json } = await patch(id, { state: 'complete', state_reason: 'x', index_image: 'no-tag' });
  expect(json.error).toBe('A failed request cannot change states');
});

test('a mapping of one request shows on another that has the bundle', async () => {
  const first = await create('add', { bundles: ['reg.example.com/shared:1'] });
  await patch(first, { bundle_mapping: { webapp: ['reg.example.com/shared:1', 'reg.example.com/other:1'] } });
  const second = await create('add', { bundles: ['reg.example.com/shared:1', 'reg.example.com/unknown:1'] });
  const { json } = await api.ask('GET', `/api/v1/builds/${second}`);
  expect(json.bundle_mapping).toEqual({ webapp: ['reg.example.com/shared:1'] });
});

test('both shapes of fragments', async () => {
  const single = await create('fbc-operations', { fbc_fragment: 'f:1' });
  const patched = (await patch(single, { fbc_fragments_resolved: ['f@sha256:1', 'f@sha256:1'] })).json;
  expect(patched).toMatchObject({ fbc_fragment: 'f:1', fbc_fragment_resolved: 'f@sha256:1', fbc_fragments: [] });
  const several = await create('fbc-operations', { fbc_fragments: ['f:1', 'g:1'] });
  const array = (await patch(several, { fbc_fragments_resolved: ['f@sha256:1', 'g@sha256:1'] })).json;
  expect(array).toMatchObject({
    fbc_fragment: null,
    fbc_fragment_resolved: null,
    fbc_fragments: ['f:1', 'g:1'],
    fbc_fragments_resolved: ['f@sha256:1', 'g@sha256:1'],
  });
});

test('many PATCHes at once all land', async () => {
  const id = await create('rm', { operators: ['webapp'] });
  const arches = ['amd64', 'arm64', 'ppc64le', 's390x', 'riscv64'];
  const answers = await Promise.all(
    arches.map((arch) => patch(id, { arches: [arch], state: 'in_progress', state_reason: arch })),
  );
  expect(answers.map(({ status }) => status)).toEqual(arches.map(() => 200));
  const { json } = await api.ask('GET', `/api/v1/builds/${id}`);
  expect(json.arches).toEqual([...arches].sort());
  expect(json.state_history).toHaveLength(arches.length + 1);
});

test('whoever ends a request ends the keeping of its tokens', async () => {
  const overwrite = { overwrite_from_index: true, overwrite_from_index_token: 'user:password' };
  const [ended, delivered] = [
    await create('rm', { operators: ['webapp'], ...overwrite }),
    await create('rm', { operators: ['webapp'], ...overwrite }),
  ];
  const { pool } = api.world.database;
  // A delivery may be past its commit point: it needs them to its end, and removes them itself.
  await pool.query(
    `with begun as (insert into deliveries default values returning id)
     update requests set delivery_id = begun.id from begun where requests.id = $1`,
    [delivered],
  );
  await patch(ended, { state: 'in_progress', state_reason: 'busy' });
  const kept = async () =>
    (await pool.query('select request_id from request_secrets order by 1')).rows.map(({ request_id }) => request_id);
  expect(await kept()).toEqual([ended, delivered]);
  for (const id of [ended, delivered]) await patch(id, { state: 'failed', state_reason: 'over' });
  expect(await kept()).toEqual([delivered]);
});
