import { expect, test } from 'vitest';
import type { RequestTypeName } from '../../src/db/schema.ts';
import { workOf } from '../../src/requests/works.ts';

const block = {
  from_index: 'example.com/pub/index:v4.19',
  binary_image: null,
  distribution_scope: null,
  build_tags: [],
  add_arches: [],
  overwrite_from_index: true,
};
const merge = {
  source_from_index: 'example.com/pub/source:v4.19',
  target_index: 'example.com/pub/target:v4.20',
  deprecation_list: [],
  graph_update_mode: null,
  overwrite_target_index: true,
  binary_image: null,
  distribution_scope: null,
  build_tags: [],
  ignore_bundle_ocp_version: null,
};
const secrets = { overwrite_from_index_token: 'user:from', overwrite_target_index_token: 'user:target' };

test.each<[RequestTypeName, object, object[]]>([
  ['rm', { ...block, operators: ['lamp'] }, [{ spec: block.from_index, token: 'user:from' }]],
  [
    'fbc-operations',
    { ...block, fbc_fragments: ['example.com/f:1'], fbc_fragment: null },
    [{ spec: block.from_index, token: 'user:from' }],
  ],
  [
    'add-deprecations',
    { ...block, operator_package: 'lamp', deprecation_schema: '{}' },
    [{ spec: block.from_index, token: 'user:from' }],
  ],
  ['merge-index-image', merge, [{ spec: merge.target_index, token: 'user:target' }]],
  ['merge-index-image', { ...merge, target_index: null }, []],
  [
    'create-empty-index',
    { from_index: block.from_index, binary_image: null, distribution_scope: null, labels: null },
    [],
  ],
])('%s sends its token for the index it overwrites and for nothing else', (type, payload, tokens) => {
  expect(workOf(type).tokens(payload, secrets)).toEqual(tokens);
});
