import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { branchOf, databaseOf, type Files, imageOf, movedTags, reasonsOf, releaseToken } from './support/content.ts';
import { type World, world } from './support/world.ts';

let here: World;
beforeAll(async () => {
  here = await world();
});
afterAll(() => here?.close());

const index = () => here.sandbox.seeded.fromIndex;
const overwriting = () => ({ overwrite_from_index: true, overwrite_from_index_token: releaseToken(here) });
const operate = async (more: object) => here.end(await here.post('fbc-operations', { from_index: index(), ...more }));

/** The catalog of a package with one channel and one bundle for each version, as text. */
function catalog(name: string, ...versions: string[]): string {
  const bundle = (version: string) => `${name}.v${version}`;
  return jsonText([
    { schema: 'olm.package', name, defaultChannel: 'stable' },
    {
      schema: 'olm.channel',
      package: name,
      name: 'stable',
      entries: versions.map((version, at) => ({
        name: bundle(version),
        ...(at === 0 ? {} : { replaces: bundle(versions[at - 1] ?? '') }),
      })),
    },
    ...versions.map((version) => ({
      schema: 'olm.bundle',
      package: name,
      name: bundle(version),
      image: `example.com/${name}@sha256:${'1'.repeat(64)}`,
      properties: [{ type: 'olm.package', value: { packageName: name, version } }],
    })),
  ]);
}

const about = (name: string, ...bundles: string[]) => ({
  schema: 'olm.deprecations',
  package: name,
  entries: bundles.map((bundle) => ({ reference: { schema: 'olm.bundle', name: bundle }, message: 'old' })),
});

/** Pushes a fragment of these files, by tag. */
async function fragment(name: string, files: Files): Promise<{ spec: string; resolved: string }> {
  const fbcDir = mkdtempSync(join(tmpdir(), 'indexwright-e2e-fragment-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(fbcDir, path)), { recursive: true });
      writeFileSync(join(fbcDir, path), text);
    }
    const spec = `${here.sandbox.at.registry}/fragments/${name}:v1`;
    return { spec, resolved: await pushFragmentImage(await here.sandbox.registryClient(), { fbcDir, ref: spec }) };
  } finally {
    rmSync(fbcDir, { recursive: true, force: true });
  }
}

test('the single form, throw-away: a package of the database becomes file-based in the image alone', async () => {
  const { spec, resolved } = await fragment('single', { 'lighthouse/catalog.yaml': catalog('lighthouse', '2.0.0') });
  const before = await here.photograph();
  const ended = await operate({ fbc_fragment: spec });
  expect(ended).toMatchObject({
    state: 'complete',
    state_reason: "The operator(s) ['lighthouse'] were successfully removed from the index image",
    fbc_fragment: spec,
    fbc_fragment_resolved: resolved,
    fbc_fragments: [],
    fbc_fragments_resolved: [],
    index_image: `${here.sandbox.at.registry}/indexwright/iib-build:${ended.id}`,
  });
  const after = await here.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    `indexwright/index-db:example-index-v4.19-${ended.id}`,
  ]);
  const { configs } = await imageOf(here, ended.index_image);
  expect(Object.keys(configs)).toEqual(['harbor-pilot/catalog.json', 'lighthouse/catalog.json']);
  expect(configs['lighthouse/catalog.json']).toBe(catalog('lighthouse', '2.0.0'));
  expect((await databaseOf(here, index(), { requestId: ended.id })).packages).toEqual(['harbor-pilot']);
});

describe('overwriting', () => {
  test('several fragments: the later one wins, only their own deprecations come along', async () => {
    const schema = JSON.stringify(about('harbor-pilot', 'harbor-pilot.v0.3.0'));
    const given = { from_index: index(), operator_package: 'harbor-pilot', deprecation_schema: schema };
    await here.end(await here.post('add-deprecations', { ...given, ...overwriting() }));
    const before = await branchOf(here, 'v4.19');

    const first = await fragment('first', {
      'lighthouse/catalog.json': catalog('lighthouse', '2.0.0'),
      'beacon/catalog.json': catalog('beacon', '1.0.0'),
      '_operator-deprecations-content/harbor-pilot/all.json': jsonText([about('harbor-pilot')]),
    });
    const second = await fragment('second', {
      'beacon/catalog.json': catalog('beacon', '1.0.0', '1.1.0'),
      '_operator-deprecations-content/beacon/beacon.json': jsonText([about('beacon', 'beacon.v1.0.0')]),
    });
    const ended = await operate({ fbc_fragments: [first.spec, second.spec], ...overwriting() });
    expect(reasonsOf(ended)).toEqual([
      'The request was initiated',
      'Resolving the fbc fragments',
      'Resolving the container images',
      'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
      'Cloning Git repository',
      'Adding fbc fragment',
      'Extracting operator packages from 2 fbc fragment(s)',
      "Adding package(s) ['beacon', 'lighthouse'] from fbc fragment 1/2 to from_index",
      "Adding package(s) ['beacon'] from fbc fragment 2/2 to from_index",
      'Writing build metadata',
      'Committing changes to Git repository',
      'Waiting on KONFLUX build',
      'Copying built index to IIB registry',
      `Overwriting the index image ${index()} with ${ended.internal_index_image_copy}`,
      'Pushing updated index database',
      "The operator(s) ['lighthouse'] were successfully removed from the index image",
    ]);
    expect(ended).toMatchObject({
      fbc_fragment: null,
      fbc_fragments: [first.spec, second.spec],
      fbc_fragments_resolved: [first.resolved, second.resolved],
    });
    const { configs } = await branchOf(here, 'v4.19');
    expect(configs).toEqual({
      ...before.configs,
      'lighthouse/catalog.json': catalog('lighthouse', '2.0.0'),
      'beacon/catalog.json': catalog('beacon', '1.0.0', '1.1.0'),
      '_operator-deprecations-content/beacon/beacon.json': jsonText([about('beacon', 'beacon.v1.0.0')]),
    });
    expect(await databaseOf(here, index())).toMatchObject({
      packages: ['harbor-pilot'],
      annotations: { request_type: 'fbc_operations', operators: 'lighthouse' },
    });
  });

  test('a package that is file-based already is replaced; its deprecations follow what is left of it', async () => {
    const { spec } = await fragment('newer', { 'beacon/catalog.json': catalog('beacon', '2.0.0') });
    const ended = await operate({ fbc_fragments: [spec], ...overwriting() });
    expect(ended.state_reason).toBe('The operator(s) [] were successfully removed from the index image');
    const { configs } = await branchOf(here, 'v4.19');
    expect(configs['beacon/catalog.json']).toBe(catalog('beacon', '2.0.0'));
    expect(Object.keys(configs)).not.toContain('_operator-deprecations-content/beacon/beacon.json');
  });

  test('a package that is file-based is not lost to an add, and can be removed', async () => {
    const before = await here.photograph();
    expect(await here.end(await here.add({ bundles: [here.sandbox.seeded.newest.lighthouse] }))).toMatchObject({
      state: 'failed',
      state_reason: expect.stringMatching(/^Bundles cannot be added to lighthouse: /),
    });
    expect(await here.photograph()).toEqual(before);
    const body = { from_index: index(), operators: ['lighthouse', 'harbor-pilot'], ...overwriting() };
    expect((await here.end(await here.post('rm', body))).state).toBe('complete');
    expect(Object.keys((await branchOf(here, 'v4.19')).configs)).toEqual(['beacon/catalog.json']);
    expect((await databaseOf(here, index())).packages).toEqual([]);
  });
});

test('architectures of the request are added to those of the index', async () => {
  const client = await here.sandbox.registryClient();
  const { registry } = here.sandbox.at;
  const list = await client.manifest(index());
  const entries = list.document.kind === 'list' ? list.document.manifests : [];
  const amd64 = entries.find(({ platform }) => platform?.architecture === 'amd64')?.digest ?? '';
  const narrow = `${registry}/catalogs/example-index:narrow`;
  await client.point(narrow, amd64);
  await client.point(`${registry}/indexwright/index-db:example-index-narrow`, (await databaseOf(here, index())).digest);
  const { spec } = await fragment('narrow', { 'beacon/catalog.json': catalog('beacon', '3.0.0') });
  const ended = await operate({ from_index: narrow, fbc_fragment: spec, add_arches: ['s390x'] });
  expect(ended).toMatchObject({ state: 'complete', arches: ['amd64', 's390x'] });
});

describe('fragments that are refused, with nothing left behind', () => {
  test.each([
    [
      'loose files',
      { 'README.md': 'hello', 'beacon/catalog.json': '' },
      /^The fbc_fragment .*@sha256:\w+ has README.md beside its packages; only folders belong there$/,
    ],
    [
      'no package',
      { '_operator-deprecations-content/x/x.json': '' },
      /^No operator packages in fbc_fragment .*@sha256/,
    ],
    ['a name that is none', { 'Beacon/catalog.json': '' }, /^"Beacon" is not a valid package name$/],
    [
      'a catalog that opm refuses',
      { 'beacon/catalog.json': catalog('beacon', '1.0.0').replace('"stable"', '"slow"') },
      /^Failed to validate the content from config_dir configs: .*beacon/s,
    ],
    [
      'a package that has another folder',
      { 'beacon/catalog.json': catalog('beacon', '1.0.0'), 'lamp/catalog.json': catalog('beacon', '1.0.0') },
      /^duplicate package "beacon": also defined in the folder lamp$/,
    ],
  ])('%s', async (name, files, reason) => {
    const { spec } = await fragment(name.replaceAll(' ', '-'), files);
    const before = await here.photograph();
    const ended = await operate({ fbc_fragments: [spec], ...overwriting() });
    expect(ended).toMatchObject({ state: 'failed', state_reason: expect.stringMatching(reason) });
    expect(await here.photograph()).toEqual(before);
  });

  test('an image without a catalog', async () => {
    const bundle = here.sandbox.seeded.newest.lighthouse;
    expect(await operate({ fbc_fragment: bundle })).toMatchObject({
      state: 'failed',
      state_reason: `FBC fragment catalog directory not found at /configs after extracting ${bundle}`,
    });
  });
});
