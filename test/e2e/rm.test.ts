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
const rm = async (operators: string[], more: object = {}) =>
  here.end(await here.post('rm', { from_index: index(), operators, ...more }));

const deprecations = (name: string) => JSON.stringify({ schema: 'olm.deprecations', package: name, entries: [] });

test('a throw-away request makes an image without the package and moves nothing shared', async () => {
  const before = await here.photograph();
  const ended = await rm(['harbor-pilot'], { build_tags: ['without-pilot'] });
  expect(ended.state_reason).toBe('The operator(s) harbor-pilot were successfully removed from the index image');
  const after = await here.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(after.openMergeRequests).toEqual([]);
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    'indexwright/iib-build:without-pilot',
    `indexwright/index-db:example-index-v4.19-${ended.id}`,
  ]);
  expect(Object.keys((await imageOf(here, ended.index_image)).configs)).toEqual(['lighthouse/catalog.json']);
  expect(await databaseOf(here, index(), { requestId: ended.id })).toMatchObject({
    packages: ['lighthouse'],
    annotations: { request_id: String(ended.id), request_type: 'rm', operators: 'harbor-pilot' },
  });
});

test('a package leaves catalog, deprecations and database; others keep their bytes; a name nowhere is fine', async () => {
  const given = { from_index: index(), operator_package: 'lighthouse', deprecation_schema: deprecations('lighthouse') };
  await here.end(await here.post('add-deprecations', { ...given, ...overwriting() }));
  const before = await branchOf(here, 'v4.19');
  expect(Object.keys(before.configs)).toEqual([
    '_operator-deprecations-content/lighthouse/lighthouse.json',
    'harbor-pilot/catalog.json',
    'lighthouse/catalog.json',
  ]);

  const ended = await rm(['lighthouse', 'nowhere'], overwriting());
  expect(reasonsOf(ended)).toEqual([
    'The request was initiated',
    'Preparing request for build',
    'Resolving the container images',
    'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
    'Cloning Git repository',
    'Removing operators from catalog',
    'Checking and removing from index database',
    'Validating catalog',
    'Writing build metadata',
    'Committing changes to Git repository',
    'Waiting on KONFLUX build',
    'Copying built index to IIB registry',
    `Overwriting the index image ${index()} with ${ended.internal_index_image_copy}`,
    'Pushing updated index database',
    'The operator(s) lighthouse, nowhere were successfully removed from the index image',
  ]);
  const { configs } = await branchOf(here, 'v4.19');
  expect(configs).toEqual({ 'harbor-pilot/catalog.json': before.configs['harbor-pilot/catalog.json'] });
  expect((await imageOf(here, index())).configs).toEqual(configs);
  expect((await databaseOf(here, index())).packages).toEqual(['harbor-pilot']);
});

test('the last package leaves an index that can still be worked on', async () => {
  expect((await rm(['harbor-pilot'], overwriting())).state).toBe('complete');
  expect((await branchOf(here, 'v4.19')).configs).toEqual({ '.gitkeep': '' });
  expect((await databaseOf(here, index())).packages).toEqual([]);
  const again = await rm(['harbor-pilot'], overwriting());
  expect(again.state_reason).toBe('The operator(s) harbor-pilot were successfully removed from the index image');
});

test('what is no package name is refused before anything is touched', async () => {
  const before = await here.photograph();
  expect(await rm(['../configs'], overwriting())).toMatchObject({
    state: 'failed',
    state_reason: '"../configs" is not a valid package name',
  });
  expect(await here.photograph()).toEqual(before);
});
