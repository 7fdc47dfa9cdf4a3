import { afterAll, beforeAll, expect, test } from 'vitest';
import { branchOf, databaseOf, imageOf, movedTags, reasonsOf, releaseToken } from './support/content.ts';
import { type World, world } from './support/world.ts';

let here: World;
beforeAll(async () => {
  here = await world();
});
afterAll(() => here?.close());

const index = () => here.sandbox.seeded.fromIndex;
const overwriting = () => ({ overwrite_from_index: true, overwrite_from_index_token: releaseToken(here) });
const deprecate = async (name: string, schema: object, more: object = {}) => {
  const body = { from_index: index(), operator_package: name, deprecation_schema: JSON.stringify(schema), ...more };
  return here.end(await here.post('add-deprecations', body));
};

const about = (name: string, ...bundles: string[]) => ({
  schema: 'olm.deprecations',
  package: name,
  entries: bundles.map((bundle) => ({ reference: { schema: 'olm.bundle', name: bundle }, message: 'old' })),
});
const FILE = '_operator-deprecations-content/lighthouse/lighthouse.json';

test('a throw-away request deprecates in its own image only', async () => {
  const before = await here.photograph();
  const ended = await deprecate('lighthouse', about('lighthouse', 'lighthouse.v1.0.0'));
  expect(ended.state_reason).toBe('The deprecation schema was successfully added to the index image');
  const after = await here.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    `indexwright/index-db:example-index-v4.19-${ended.id}`,
  ]);
  const { configs } = await imageOf(here, ended.index_image);
  expect(JSON.parse(configs[FILE] ?? '')).toEqual(about('lighthouse', 'lighthouse.v1.0.0'));
});

test('an overwrite keeps them for the requests that follow, and a later one replaces them', async () => {
  await deprecate('lighthouse', about('lighthouse', 'lighthouse.v1.0.0'), overwriting());
  const ended = await deprecate(
    'lighthouse',
    about('lighthouse', 'lighthouse.v1.0.0', 'lighthouse.v1.1.0'),
    overwriting(),
  );
  expect(reasonsOf(ended)).toEqual([
    'The request was initiated',
    'Resolving the index images',
    'Resolving the container images',
    'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
    'Cloning Git repository',
    'Getting all deprecations present in index image',
    'Adding deprecations to from_index',
    'Writing build metadata',
    'Committing changes to Git repository',
    'Waiting on KONFLUX build',
    'Copying built index to IIB registry',
    `Overwriting the index image ${index()} with ${ended.internal_index_image_copy}`,
    'Pushing updated index database',
    'The deprecation schema was successfully added to the index image',
  ]);
  const { configs } = await branchOf(here, 'v4.19');
  expect(JSON.parse(configs[FILE] ?? '')).toEqual(about('lighthouse', 'lighthouse.v1.0.0', 'lighthouse.v1.1.0'));
  expect((await databaseOf(here, index())).annotations).toMatchObject({ request_type: 'add_deprecations' });
});

test('a bundle that is cut off takes its deprecation along', async () => {
  const client = await here.sandbox.registryClient();
  const { registry } = here.sandbox.at;
  const oldest = await client.resolve(`${registry}/examples/lighthouse-bundle:v1.0.0`);
  const added = await here.end(await here.add({ deprecation_list: [oldest] }));
  expect(added.state_reason).toBe('The operator bundle(s) were successfully added to the index image');
  const { configs } = await branchOf(here, 'v4.19');
  expect(configs['lighthouse/catalog.json']).not.toContain('"name": "lighthouse.v1.0.0"');
  expect(JSON.parse(configs[FILE] ?? '')).toEqual(about('lighthouse', 'lighthouse.v1.1.0'));
});

test.each([
  [
    'a package that is not in the database',
    'beacon',
    about('beacon'),
    'Cannot add deprecations for beacon, It is either not present in index or opted in fbc',
  ],
  [
    'a bundle that the package does not have',
    'harbor-pilot',
    about('harbor-pilot', 'harbor-pilot.v9.9.9'),
    expect.stringMatching(/^Failed to validate the content from config_dir configs: .*harbor-pilot\.v9\.9\.9/s),
  ],
  [
    'another package',
    'harbor-pilot',
    about('lighthouse', 'lighthouse.v1.1.0'),
    expect.stringMatching(/^Failed to validate the content from config_dir configs: .*lighthouse/s),
  ],
  ['something else', 'harbor-pilot', [1], expect.stringMatching(/^(Failed to validate|The catalog file)/)],
])('deprecations of %s are refused and leave nothing', async (_, name, schema, reason) => {
  const before = await here.photograph();
  expect(await deprecate(name, schema, overwriting())).toMatchObject({ state: 'failed', state_reason: reason });
  expect(await here.photograph()).toEqual(before);
});
