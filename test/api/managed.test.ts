import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputsOf } from '../../src/requests/index-change.ts';
import { type TestApi, testApi } from '../support/api.ts';

const INDEX = 'reg.example.com/ns/redhat-index';
const user = 'alice@EXAMPLE.COM';
const TAGS = '"build_tags" value';

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config, dir) => {
    config.catalogs = [
      { index: INDEX, repository: 'https://gitlab.example.com/ns/catalog.git', tokenFile: `${dir}/token` },
      {
        index: 'reg.example.com/iib-own',
        repository: 'https://gitlab.example.com/ns/own.git',
        tokenFile: `${dir}/token`,
      },
    ] as typeof config.catalogs;
  });
});
afterAll(() => api.close());

const block = { from_index: `${INDEX}:v4.19`, binary_image: 'scratch' };
/** A body of each type that has build tags, and a batch of it where there is one. */
const BODIES: [route: string, body: (tags: string[]) => object][] = [
  ['add', (build_tags) => ({ ...block, bundles: ['b:1'], build_tags })],
  ['rm', (build_tags) => ({ ...block, operators: ['webapp'], build_tags })],
  ['fbc-operations', (build_tags) => ({ ...block, fbc_fragment: 'f:1', build_tags })],
  [
    'add-deprecations',
    (build_tags) => ({ ...block, operator_package: 'webapp', deprecation_schema: '{}', build_tags }),
  ],
  ['merge-index-image', (build_tags) => ({ source_from_index: block.from_index, binary_image: 'scratch', build_tags })],
  ['add-rm-batch', (build_tags) => ({ build_requests: [{ ...block, bundles: ['b:1'], build_tags }] })],
  ['add-rm-batch', (build_tags) => ({ build_requests: [{ ...block, operators: ['webapp'], build_tags }] })],
];
const post = (route: string, json: object) => api.ask('POST', `/api/v1/builds/${route}`, { user, json });

describe('build tags', () => {
  const WRONG = [
    '13',
    '0013',
    '99999999999999999999',
    '',
    ' ',
    'a b',
    'é',
    '.a',
    '-a',
    'a/b',
    'a:b',
    `a@sha256:${'0'.repeat(64)}`,
    '{request_id}',
    '$1',
    'x'.repeat(129),
    'a\n',
  ];
  const RIGHT = ['v4.19', 'v4.19-20260803', '_', 'A.b-C_d', '13a', '1.2', 'x'.repeat(128)];

  test.each(BODIES)(
    '%s: what is no tag, and what the service writes itself, is refused before anything is stored',
    async (route, body) => {
      for (const tag of WRONG) {
        const { status, json } = await post(route, body(['fine', tag]));
        expect([tag, status, json.error]).toEqual([tag, 400, expect.stringContaining('build_tags')]);
      }
      const { status, json } = await post(route, body(RIGHT));
      expect(status).toBe(201);
      expect([json].flat()[0].build_tags).toEqual([...RIGHT].sort());
    },
  );

  test('the answer names the tag, the reason and the remedy', async () => {
    const { json } = await post('rm', { ...block, operators: ['webapp'], build_tags: ['13'] });
    expect(json.error).toBe(
      `The ${TAGS} "13" is a number, and numbers are the tags of requests' own results. Choose another tag.`,
    );
  });

  test('duplicates are no mistake', async () => {
    const { json } = await post('rm', { ...block, operators: ['webapp'], build_tags: ['b', 'a', 'b'] });
    expect(json.build_tags).toEqual(['a', 'b']);
  });

  test.each([
    ['the template names the repository of an index', { pushTemplate: '{registry}/iib-own:{request_id}' }, 'v4.19'],
    [
      'artifacts share the repository',
      { artifactRegistry: 'reg.example.com', artifactTemplate: '{registry}/iib-build:{tag}' },
      'redhat-index-v4.19',
    ],
    [
      'artifacts of requests',
      { artifactRegistry: 'reg.example.com', artifactTemplate: '{registry}/iib-build:{tag}' },
      'redhat-index-v4.19-77',
    ],
    [
      'the empty database',
      { artifactRegistry: 'reg.example.com', artifactTemplate: '{registry}/iib-build:{tag}' },
      'redhat-index-empty',
    ],
  ])('where %s its tags are refused', async (_, naming, tag) => {
    const own = await testApi((config) => {
      config.catalogs = api.config.catalogs;
      config.registry = { ...config.registry, ...naming };
    });
    try {
      const json = { ...block, operators: ['webapp'], build_tags: [tag] };
      const { status, json: answer } = await own.ask('POST', '/api/v1/builds/rm', { user, json });
      expect([status, answer.error]).toEqual([
        400,
        `The ${TAGS} "${tag}" is a tag of a configured index or of its index.db. Choose another tag.`,
      ]);
    } finally {
      await own.close();
    }
  });

  test('the output of a request stands for the index it is a version of', async () => {
    const json = { ...block, operators: ['a'], build_tags: ['13'] };
    for (const from_index of ['reg.example.com/iib-build:5', `${INDEX}@sha256:${'0'.repeat(64)}`]) {
      expect((await post('rm', { ...json, from_index })).status).toBe(400);
    }
  });

  test('a request that can never write them gets the answer of IIB', async () => {
    const json = { from_index: 'elsewhere.example.com/index:v1', binary_image: 'scratch', operators: ['a'] };
    expect((await post('rm', { ...json, build_tags: ['13', 'é'], add_arches: ['sparc'] })).status).toBe(201);
  });

  test('the worker refuses the same: rows may be older than the check', () => {
    for (const tag of WRONG) expect(() => outputsOf(api.config, 7, [tag])).toThrow('build_tags');
    expect(outputsOf(api.config, 7, RIGHT).buildTags).toContain('reg.example.com/iib-build:v4.19');
    expect(outputsOf(api.config, 7, []).output).toBe('reg.example.com/iib-build:7');
  });
});

describe('architectures', () => {
  test.each(BODIES.filter(([route]) => route !== 'merge-index-image'))(
    '%s: unknown ones are refused by name',
    async (route, body) => {
      const given = body([]);
      const add_arches = ['amd64', 'sparc', 'AMD64', 'x86_64'];
      const members = (given as { build_requests?: object[] }).build_requests;
      const json = members
        ? { build_requests: members.map((member) => ({ ...member, add_arches })) }
        : { ...given, add_arches };
      const { status, json: answer } = await post(route, json);
      expect([status, answer.error]).toEqual([
        400,
        expect.stringContaining('unknown architectures: sparc, AMD64, x86_64'),
      ]);
    },
  );

  test('those that operator-pipelines sends are known, and null is none', async () => {
    for (const add_arches of [['amd64', 's390x', 'ppc64le'], null, []]) {
      expect((await post('rm', { ...block, operators: ['webapp'], add_arches })).status).toBe(201);
    }
  });
});
