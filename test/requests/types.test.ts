import { expect, test } from 'vitest';
import { REQUEST_TYPES as STORED } from '../../src/db/schema.ts';
import { REQUEST_TYPES } from '../../src/requests/all.ts';
import type { JsonObject } from '../../src/requests/checks.ts';
import type { Caller } from '../../src/requests/type.ts';

const caller: Caller = {
  user: 'alice',
  binaryImageRequired: true,
  graphModeOptions: ['replaces', "it's"],
  graphModeIndexAllowList: ['reg.example.com/graph/index', 'host:5000/x'],
};
const INDEX = { from_index: 'reg.example.com/index:v4.16', binary_image: 'reg.example.com/opm:1' };
const PAYLOADS: Record<string, JsonObject> = {
  add: { ...INDEX, bundles: ['b:1'] },
  rm: { ...INDEX, operators: ['webapp'] },
  'regenerate-bundle': { from_bundle_image: 'b:1' },
  'merge-index-image': { source_from_index: 'i:1', binary_image: 'scratch' },
  'create-empty-index': INDEX,
  'recursive-related-bundles': { parent_bundle_image: 'b:1' },
  'fbc-operations': { ...INDEX, fbc_fragment: 'f:1' },
  'add-deprecations': { ...INDEX, operator_package: 'webapp', deprecation_schema: '{}' },
};
const named = (name: string) => REQUEST_TYPES.find((type) => type.name === name)!;

test('every type of the contract is there, once', () => {
  expect(REQUEST_TYPES.map(({ name }) => name)).toEqual([...STORED]);
});

test.each(REQUEST_TYPES.map((type) => [type.name, type] as const))(
  '%s: what is stored is what its schema says',
  (name, type) => {
    const { payload } = type.check(PAYLOADS[name]!, caller);
    expect(type.payload.parse(structuredClone(payload))).toEqual(payload);
  },
);

test.each(REQUEST_TYPES.map((type) => [type.name, type] as const))(
  '%s: the view shows neither what is for the worker alone nor anything secret',
  (name, type) => {
    const view = type.view({
      payload: type.check(PAYLOADS[name]!, caller).payload,
      outcome: {},
      packages: new Map(),
      links: {
        relatedBundles: null,
        nestedBundles: { expiration: '2026-01-01T00:00:00Z', url: 'http://x/nested-bundles' },
      },
      url: (route) => `http://x/${route}`,
    });
    for (const key of ['add_arches', 'overwrite_from_index', 'overwrite_target_index', 'deprecation_schema']) {
      expect(view).not.toHaveProperty(key);
    }
  },
);

test.each([
  ['rm', { operators: ['a'], surprise: null, other: 1 }, 'Missing required parameter(s): from_index'],
  [
    'rm',
    { ...INDEX, operators: ['a'], surprise: null, other: 1 },
    'The following parameters are invalid: surprise, other',
  ],
  ['rm', { ...INDEX, operators: ['a'], output_fbc: true }, 'The following parameters are invalid: output_fbc'],
  ['rm', { ...INDEX, operators: ['a'], overwrite_from_index_token: 't' }, /parameter is required when the/],
  [
    'add',
    { ...INDEX, graph_update_mode: 'semver' },
    `"graph_update_mode" must be set to one of these: ['replaces', "it's"]`,
  ],
  ['add', { ...INDEX, graph_update_mode: 'replaces' }, /can only be used on the following index image: \['reg/],
  ['add-deprecations', { ...PAYLOADS['add-deprecations'], deprecation_schema: '{"a":NaN}' }, /should be valid JSON/],
  ['merge-index-image', { ...PAYLOADS['merge-index-image'], id: 5 }, 'The following parameters are invalid: id'],
  ['fbc-operations', { ...PAYLOADS['fbc-operations'], _used_fbc_fragment: 1 }, /invalid: _used_fbc_fragment$/],
] as [string, JsonObject, string | RegExp][])('%s %j is refused', (name, body, message) => {
  expect(() => named(name).check(body, caller)).toThrow(message);
});

test.each([
  'reg.example.com/graph/index:v1',
  'reg.example.com/graph/index@sha256:1',
  'reg.example.com/graph/index',
  'host:5000/x:v1',
])('graph modes are allowed on %s', (from_index) => {
  const body = { ...INDEX, from_index, graph_update_mode: 'replaces' };
  const check = () => named('add').check(body, caller);
  if (from_index.endsWith('/index')) expect(check).toThrow('should have a tag or a digest');
  else expect(check().payload).toMatchObject({ graph_update_mode: 'replaces' });
});
