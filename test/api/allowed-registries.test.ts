import { afterAll, beforeAll, expect, test } from 'vitest';
import { CatalogConfigSchema } from '../../src/config/schema.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    Object.assign(config.registry, {
      output: 'out.example.com',
      artifactRegistry: 'artifacts.example.com/dbs',
      allowed: ['bundles.example.com', 'quay.example.com/team'],
    });
    config.catalogs = [
      CatalogConfigSchema.parse({
        index: 'indexes.example.com/ns/index',
        repository: 'https://gitlab.example.com/a/b',
        tokenFile: '/t',
      }),
    ];
    config.binaryImages = { prod: { 'v4.16': 'base.example.com/opm:v4.16' } };
  });
});
afterAll(() => api.close());

const user = 'alice@EXAMPLE.COM';
const add = { from_index: 'indexes.example.com/ns/index:v4.16', bundles: ['bundles.example.com/b:1'] };
const post = (type: string, json: unknown) => api.ask('POST', `/api/v1/builds/${type}`, { user, json });
const count = async () => (await api.world.database.pool.query('select count(*)::int as n from requests')).rows[0].n;

test('what is allowed, and what the configuration names, is taken', async () => {
  for (const json of [
    add,
    { ...add, bundles: ['quay.example.com/team/b:1', 'out.example.com/iib-build:5'] },
    { ...add, binary_image: 'base.example.com/opm:v4.16' },
    { ...add, binary_image: 'scratch' },
  ]) {
    expect((await post('add', json)).status).toBe(201);
  }
});

test.each([
  ['a bundle', 'add', { ...add, bundles: ['bundles.example.com/b:1', 'evil.example.com/b:1'] }],
  ['a bundle beside the allowed path', 'add', { ...add, bundles: ['quay.example.com/teams/b:1'] }],
  ['an index', 'add', { ...add, from_index: 'evil.example.com/ns/index:v4.16' }],
  ['an index beside a configured one', 'add', { ...add, from_index: 'indexes.example.com/ns/other:v4.16' }],
  ['a binary image', 'add', { ...add, binary_image: 'evil.example.com/opm:1' }],
  ['a deprecated bundle', 'add', { ...add, deprecation_list: [`evil.example.com/b@sha256:${'0'.repeat(64)}`] }],
  ['a fragment', 'fbc-operations', { from_index: add.from_index, fbc_fragment: 'evil.example.com/f:1' }],
  [
    'an index to be merged',
    'merge-index-image',
    { source_from_index: 'evil.example.com/i:1', target_index: add.from_index },
  ],
  ['a bundle to be regenerated', 'regenerate-bundle', { from_bundle_image: 'evil.example.com/b:1' }],
  ['a parent bundle', 'recursive-related-bundles', { parent_bundle_image: 'evil.example.com/b:1' }],
  ['a member of a batch', 'add-rm-batch', { build_requests: [add, { ...add, bundles: ['evil.example.com/b:1'] }] }],
])('%s of another registry is refused and nothing stored', async (_, type, json) => {
  const before = await count();
  const answer = await post(type, json);
  expect(answer.json.error).toMatch(/^\S+ is not in a registry that this service reads\. .*registry\.allowed/);
  expect(answer.status).toBe(403);
  expect(await count()).toBe(before);
});
