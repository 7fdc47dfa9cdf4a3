import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { pushBundleImage } from '../../src/sandbox/bundle-image.ts';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { makeIndex } from '../../src/sandbox/make-index.ts';
import { branchOf, databaseOf, imageOf, movedTags, reasonsOf, releaseToken } from './support/content.ts';
import { type World, world } from './support/world.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/bundles');

let here: World;
/** Pull specs by digest of the bundles these tests use. */
const bundles = { old: '', next: '', newest: '', pilot: '' };
let source = '';
let target = { spec: '', repository: '' };

beforeAll(async () => {
  here = await world();
  const client = await here.sandbox.registryClient();
  const push = (operator: string, version: string, versions: string) =>
    pushBundleImage(client, {
      bundleDir: join(EXAMPLES, operator, version),
      ref: `${here.sandbox.at.registry}/merge/${operator}:v${version}`,
      labels: { 'com.redhat.openshift.versions': versions },
    });
  bundles.old = await push('lighthouse', '1.0.0', 'v4.5');
  bundles.next = await push('lighthouse', '1.1.0', 'v4.5-v4.20');
  bundles.newest = await push('lighthouse', '1.2.0', '=v4.19|>=v4.20');
  bundles.pilot = await push('harbor-pilot', '0.3.0', '=v4.19');
  source = await here.index('merge/source-index:v4.19', 'v4.19', [bundles.old, bundles.pilot]);
  target = await newTarget('merge/target-index', [bundles.old, bundles.next]);
});
afterAll(() => here?.close());

/** An index of v4.20. */
async function newTarget(name: string, images: string[]) {
  const { layout, at } = here.sandbox;
  const { catalogRepoUrl } = await makeIndex(layout, { ref: `${name}:v4.20`, ocp: 'v4.20', bundles: images });
  return { spec: `${at.registry}/${name}:v4.20`, repository: catalogRepoUrl };
}

const merge = async (more: object) =>
  here.end(await here.post('merge-index-image', { source_from_index: source, ...more }));
const overwriting = () => ({ overwrite_target_index: true, overwrite_target_index_token: releaseToken(here) });

/** Makes a package of an index file-based. */
async function makeFileBased(index: string, name: string): Promise<string> {
  const bundle = `${name}.v9.0.0`;
  const text = jsonText([
    { schema: 'olm.package', name, defaultChannel: 'stable' },
    { schema: 'olm.channel', package: name, name: 'stable', entries: [{ name: bundle }] },
    {
      schema: 'olm.bundle',
      package: name,
      name: bundle,
      image: `example.com/${name}@sha256:${'1'.repeat(64)}`,
      properties: [{ type: 'olm.package', value: { packageName: name, version: '9.0.0' } }],
    },
  ]);
  const fbcDir = mkdtempSync(join(tmpdir(), 'indexwright-e2e-fragment-'));
  try {
    mkdirSync(join(fbcDir, name));
    writeFileSync(join(fbcDir, name, 'catalog.json'), text);
    const ref = `${here.sandbox.at.registry}/merge/fragment-${name}:v1`;
    const fbc_fragment = await pushFragmentImage(await here.sandbox.registryClient(), { fbcDir, ref });
    const body = { from_index: index, fbc_fragment, overwrite_from_index: true };
    const ended = await here.end(
      await here.post('fbc-operations', { ...body, overwrite_from_index_token: releaseToken(here) }),
    );
    expect(ended.state).toBe('complete');
    return text;
  } finally {
    rmSync(fbcDir, { recursive: true, force: true });
  }
}

test('without target: an image of the source alone, with what is on the deprecation list cut off', async () => {
  const before = await here.photograph();
  const ended = await merge({ deprecation_list: [bundles.pilot], build_tags: ['merged'] });
  expect(reasonsOf(ended)).toEqual([
    'The request was initiated',
    'Preparing request for merge',
    'Resolving the container images',
    'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
    'Cloning Git repository',
    'Validating whether the bundles have their pullspecs present in the registry',
    'Adding bundles missing in source index image',
    'Adding the missing bundles to the source index.db file',
    'Processing the deprecation list',
    'Migrating the intermediary index.db file to FBC and generating the Dockerfile',
    'Validating the FBC config',
    'Writing build metadata',
    'Committing changes to Git repository',
    'Waiting on KONFLUX build',
    'Copying built index to IIB registry',
    'Pushing updated index database',
    "The operator(s) ['lighthouse'] were successfully merged from the source index image into the target index image",
  ]);
  expect(ended).toMatchObject({
    index_image: `${here.sandbox.at.registry}/indexwright/iib-build:${ended.id}`,
    source_from_index_resolved: expect.stringContaining('/merge/source-index@sha256:'),
    target_index: null,
    target_index_resolved: null,
  });
  const after = await here.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    'indexwright/iib-build:merged',
    `indexwright/index-db:source-index-v4.19-${ended.id}`,
  ]);
  const { configs, labels } = await imageOf(here, ended.index_image);
  expect(Object.keys(configs)).toEqual(['lighthouse/catalog.json']);
  expect(labels).toMatchObject({ 'com.redhat.index.delivery.version': 'v4.19' });
});

test('into a target: its bundles are added, those not for its version go, what it has by itself stays', async () => {
  const beacon = await makeFileBased(target.spec, 'beacon');
  const before = await here.photograph();
  const ended = await merge({ target_index: target.spec, ...overwriting() });
  expect(ended).toMatchObject({
    state: 'complete',
    state_reason:
      "The operator(s) ['lighthouse', 'lighthouse'] were successfully merged from the source index image into the target index image",
    index_image: target.spec,
    target_index_resolved: expect.stringContaining('/merge/target-index@sha256:'),
  });
  expect(reasonsOf(ended)).toContain(
    `Overwriting the index image ${target.spec} with ${here.sandbox.at.registry}/indexwright/iib-build:${ended.id}`,
  );
  const { configs, metadata } = await branchOf(here, 'v4.20', target.repository);
  expect(Object.keys(configs)).toEqual(['beacon/catalog.json', 'lighthouse/catalog.json']);
  expect(configs['beacon/catalog.json']).toBe(beacon);
  expect(configs['lighthouse/catalog.json']).toContain('lighthouse.v1.1.0');
  expect(metadata).toMatchObject({
    opm_version: 'opm-v1.73.0',
    labels: { 'com.redhat.index.delivery.version': 'v4.20' },
  });
  expect((await imageOf(here, target.spec)).configs).toEqual(configs);
  expect(await databaseOf(here, target.spec)).toMatchObject({
    packages: ['lighthouse'],
    bundles: ['lighthouse.v1.0.0', 'lighthouse.v1.1.0'],
    annotations: { request_type: 'merge', operators: 'lighthouse' },
  });
  const after = await here.photograph();
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    `indexwright/index-db:target-index-v4.20`,
    `indexwright/index-db:target-index-v4.20-${ended.id}`,
    'merge/target-index:v4.20',
  ]);
});

test('a package that the target has as file-based catalog is not taken from the source', async () => {
  const text = await makeFileBased(target.spec, 'lighthouse');
  const ended = await merge({ target_index: target.spec, ...overwriting() });
  expect(ended.state_reason).toBe(
    'The operator(s) [] were successfully merged from the source index image into the target index image',
  );
  const { configs } = await branchOf(here, 'v4.20', target.repository);
  expect(Object.keys(configs)).toEqual(['beacon/catalog.json', 'lighthouse/catalog.json']);
  expect(configs['lighthouse/catalog.json']).toBe(text);
  expect((await databaseOf(here, target.spec)).packages).toEqual([]);
});

test('overwriting needs a target', async () => {
  const before = await here.photograph();
  expect(await merge(overwriting())).toMatchObject({
    state: 'failed',
    state_reason: `Parameter 'target_index' must be set when 'overwrite_target_index' or 'overwrite_target_index_token' is provided`,
  });
  expect(await here.photograph()).toEqual(before);
});

test('a bundle that has gone from its registry is named, and nothing is left behind', async () => {
  const other = await newTarget('merge/third-index', [bundles.old, bundles.next, bundles.newest]);
  const client = await here.sandbox.registryClient();
  await client.removeTag(`${here.sandbox.at.registry}/merge/lighthouse:v1.2.0`);
  const service = here.sandbox.layout.identity.registryUsers.service;
  const [name = '', digest] = bundles.newest.replace(`${here.sandbox.at.registry}/`, '').split('@');
  const deleted = await fetch(`http://${here.sandbox.at.registry}/v2/${name}/manifests/${digest}`, {
    method: 'DELETE',
    headers: { authorization: `Basic ${Buffer.from(`service:${service}`).toString('base64')}` },
  });
  expect([202, 404]).toContain(deleted.status);
  const before = await here.photograph();
  expect(await merge({ target_index: other.spec, ...overwriting() })).toMatchObject({
    state: 'failed',
    state_reason: `Error validating bundle ${bundles.newest}: Failed to inspect docker://${bundles.newest}. Make sure it exists and is accessible to IIB.`,
  });
  expect(await here.photograph()).toEqual(before);
});
