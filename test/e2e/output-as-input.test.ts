import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { databaseOf, imageOf, movedTags, releaseToken } from './support/content.ts';
import { newOperator } from './support/proof.ts';
import { type View, type World, world } from './support/world.ts';

let here: World;
beforeAll(async () => {
  here = await world();
});
afterAll(() => here?.close());

const index = () => here.sandbox.seeded.fromIndex;
const overwriting = () => ({ overwrite_from_index: true, overwrite_from_index_token: releaseToken(here) });
const ended = async (route: string, body: Record<string, unknown>): Promise<View> => {
  const view = await here.end(await here.post(route, body));
  expect(view).toMatchObject({ state: 'complete' });
  return view;
};
const output = ({ id }: View) => `${here.sandbox.at.registry}/indexwright/iib-build:${id}`;
const byDigest = (view: View) => `${view.index_image_resolved}`;
const packagesOf = async (view: View) =>
  Object.keys((await imageOf(here, output(view))).configs).map((path) => dirname(path));
const databasePackages = async (view: View) => (await databaseOf(here, index(), { requestId: view.id })).packages;

/** Pushes a fragment with one package of one bundle. */
async function fragment(name: string): Promise<string> {
  const fbcDir = mkdtempSync(join(tmpdir(), 'indexwright-chain-'));
  try {
    const bundle = `${name}.v1.0.0`;
    mkdirSync(join(fbcDir, name));
    const text = jsonText([
      { schema: 'olm.package', name, defaultChannel: 'stable' },
      { schema: 'olm.channel', package: name, name: 'stable', entries: [{ name: bundle }] },
      {
        schema: 'olm.bundle',
        package: name,
        name: bundle,
        image: `example.com/${name}@sha256:${'1'.repeat(64)}`,
        properties: [{ type: 'olm.package', value: { packageName: name, version: '1.0.0' } }],
      },
    ]);
    writeFileSync(join(fbcDir, name, 'catalog.json'), text);
    const ref = `${here.sandbox.at.registry}/fragments/${name}:v1`;
    await pushFragmentImage(await here.sandbox.registryClient(), { fbcDir, ref });
    return ref;
  } finally {
    rmSync(fbcDir, { recursive: true, force: true });
  }
}

describe.each<[string, (view: View) => string]>([
  ['tag', output],
  ['digest', byDigest],
])('each on the output of the one before, by its %s', (form, named) => {
  test('fbc-operations, rm, add', async () => {
    const before = await here.photograph();
    const operator = await newOperator(here, `beacon-${form}`);
    const first = await ended('fbc-operations', { from_index: index(), fbc_fragment: await fragment(`chart-${form}`) });
    expect(await packagesOf(first)).toEqual([`chart-${form}`, 'harbor-pilot', 'lighthouse']);

    const second = await ended('rm', { from_index: named(first), operators: ['lighthouse'] });
    expect(second).toMatchObject({ from_index: named(first), from_index_resolved: byDigest(first) });
    expect(await packagesOf(second)).toEqual([`chart-${form}`, 'harbor-pilot']);
    expect(await databasePackages(second)).toEqual(['harbor-pilot']);

    const third = await ended('add', { from_index: named(second), bundles: [operator] });
    expect(await packagesOf(third)).toEqual([`beacon-${form}`, `chart-${form}`, 'harbor-pilot']);
    expect((await databasePackages(third)).sort()).toEqual([`beacon-${form}`, 'harbor-pilot']);
    // What nobody changed has kept its bytes.
    const [was, is] = [await imageOf(here, output(first)), await imageOf(here, output(third))];
    for (const name of [`chart-${form}`, 'harbor-pilot']) {
      expect(is.configs[`${name}/catalog.json`]).toBe(was.configs[`${name}/catalog.json`]);
    }

    // Nobody else sees any of it.
    const after = await here.photograph();
    expect(after.branches).toEqual(before.branches);
    const own = [first, second, third].flatMap(({ id }) => [
      `indexwright/iib-build:${id}`,
      `indexwright/index-db:example-index-v4.19-${id}`,
    ]);
    expect(movedTags(before.tags, after.tags).filter((tag) => !/^(examples|fragments)\//.test(tag))).toEqual(
      own.sort(),
    );
  });
});

test('a build tag, the source of a merge, and an index by the digest it has and by one it had', async () => {
  const client = await here.sandbox.registryClient();
  const had = await client.resolve(index());
  const removed = await ended('rm', { from_index: had, operators: ['lighthouse'], build_tags: ['chained'] });
  const built = `${here.sandbox.at.registry}/indexwright/iib-build:chained`;
  const added = await ended('fbc-operations', { from_index: built, fbc_fragment: await fragment('sextant') });
  expect(await packagesOf(added)).toEqual(['harbor-pilot', 'sextant']);

  const deprecated = await ended('add-deprecations', {
    from_index: output(added),
    operator_package: 'harbor-pilot',
    deprecation_schema: JSON.stringify({
      schema: 'olm.deprecations',
      package: 'harbor-pilot',
      entries: [{ reference: { schema: 'olm.package' }, message: 'old' }],
    }),
  });
  expect(Object.keys((await imageOf(here, output(deprecated))).configs).sort()).toEqual([
    '_operator-deprecations-content/harbor-pilot/harbor-pilot.json',
    'harbor-pilot/catalog.json',
    'sextant/catalog.json',
  ]);
  expect(await databasePackages(deprecated)).toEqual(['harbor-pilot']);

  const merged = await ended('merge-index-image', { source_from_index: output(removed) });
  expect(await packagesOf(merged)).toEqual(['harbor-pilot']);

  // Published, and replaced by the next.
  const published = await ended('rm', { from_index: index(), operators: ['lighthouse'], ...overwriting() });
  const replaced = await client.resolve(index());
  await ended('fbc-operations', { from_index: index(), fbc_fragment: await fragment('compass'), ...overwriting() });
  const onReplaced = await ended('fbc-operations', { from_index: replaced, fbc_fragment: await fragment('plumb') });
  expect(byDigest(published).split('@')[1]).toBe(replaced.split('@')[1]);
  expect(await packagesOf(onReplaced)).toEqual(['harbor-pilot', 'plumb']);
});

test('an output is not overwritten, and an image that nobody made is not built on', async () => {
  const build = await ended('rm', { from_index: index(), operators: ['harbor-pilot'] });
  const refused = await here.end(
    await here.post('rm', { from_index: output(build), operators: ['lighthouse'], ...overwriting() }),
  );
  expect(refused).toMatchObject({
    state: 'failed',
    state_reason: expect.stringContaining(`To overwrite the index ${index()}, give it by this tag, not as`),
  });
  const client = await here.sandbox.registryClient();
  const stranger = await client.resolve(
    `${here.sandbox.at.registry}/${(await here.sandbox.seeded.binaryImage).split('/').slice(1).join('/')}`,
  );
  const unknown = await here.end(await here.post('rm', { from_index: stranger, operators: ['lighthouse'] }));
  expect(unknown).toMatchObject({ state: 'failed', state_reason: expect.stringContaining('must be given by a tag') });
});
