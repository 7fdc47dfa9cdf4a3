import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { nameOf } from '../../src/registry/pull-spec.ts';
import { type Greenwave, startGreenwave } from '../../src/sandbox/greenwave.ts';
import { makeIndex } from '../../src/sandbox/make-index.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { NAMESPACE } from '../../src/sandbox/service-files.ts';
import { clusterAdmin } from '../../src/sandbox/tenant.ts';
import { newOperator } from './support/proof.ts';
import { type World, world } from './support/world.ts';

const GATED = 'gated@EXAMPLE.COM';

let w: World;
let greenwave: Greenwave;
beforeAll(async () => {
  greenwave = await startGreenwave();
  const gate = { queue: 'gated', decisionContext: 'release', productVersion: 'cvp', subjectType: 'koji_build' };
  // The environment is part of the names of source branches.
  const settings: SandboxOptions['settings'] = ({ registry }) => ({
    environment: 'stage',
    // For this scope another image than for the others, told from theirs by its label.
    binaryImages: { dev: { 'v4.20': `${registry}/base/operator-registry:v4.19` } },
    userToQueue: { [GATED]: 'gated' },
    gates: [gate],
    greenwaveUrl: greenwave.url,
  });
  w = await world({ workers: 2, settings });
});
afterAll(async () => {
  await w?.close();
  await greenwave?.close();
});

const MergeRequest = z.object({
  iid: z.number(),
  state: z.string(),
  sha: z.string(),
  source_branch: z.string(),
  description: z.string(),
});
const mergeRequests = () => w.gitlab('GET', `${w.project()}/merge_requests?per_page=100`, z.array(MergeRequest));
const digestOf = async (spec: string) => (await w.sandbox.registryClient()).digestOf(spec);

describe('add', () => {
  test('throw-away: builds the image, closes its merge request, moves nothing shared', async () => {
    const { seeded } = w.sandbox;
    const before = await w.photograph();
    const request = await w.add({
      bundles: [seeded.newest.lighthouse],
      overwrite_from_index: false,
      overwrite_from_index_token: null,
    });
    const ended = await w.end(request);
    expect(ended).toMatchObject({
      state: 'complete',
      state_reason: 'The operator bundle(s) were successfully added to the index image',
      arches: ['amd64', 'arm64', 'ppc64le', 's390x'],
      index_image: `${w.sandbox.at.registry}/indexwright/iib-build:${request.id}`,
    });
    expect(ended.index_image_resolved).toBe(
      `${nameOf(ended.index_image ?? '')}@${await digestOf(ended.index_image ?? '')}`,
    );
    const after = await w.photograph();
    expect(after.branches).toEqual(before.branches);
    expect(after.openMergeRequests).toEqual([]);
    const fresh = Object.keys(after.tags).filter((tag) => before.tags[tag] !== after.tags[tag]);
    expect(fresh.sort()).toEqual([
      `indexwright/iib-build:${request.id}`,
      `indexwright/index-db:example-index-v4.19-${request.id}`,
    ]);
    const [mergeRequest] = await mergeRequests();
    expect(mergeRequest).toMatchObject({ state: 'closed', source_branch: `iib-stage-request-${request.id}-v4.19` });
    expect(mergeRequest?.description).toContain('lighthouse.v1.2.0');
  });

  test('the states come in the order clients know', async () => {
    const [request] = await w.query('select min(id) as id from requests', z.object({ id: z.number() }));
    const { state_history: history } = await w.get(request?.id ?? 0);
    expect(history.map(({ state_reason: reason }) => reason).reverse()).toEqual([
      'The request was initiated',
      'Resolving the bundles',
      'Resolving the container images',
      'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
      'Cloning Git repository',
      'Checking if bundles are already present in index image',
      'Writing build metadata',
      'Committing changes to Git repository',
      'Waiting on KONFLUX build',
      'Copying built index to IIB registry',
      'Pushing updated index database',
      'The operator bundle(s) were successfully added to the index image',
    ]);
  });

  test('two overwrites of one index sent at once: both complete, neither is lost', async () => {
    const { seeded } = w.sandbox;
    const [first, second] = await Promise.all([
      w.add({ bundles: [seeded.newest.lighthouse], build_tags: ['v4.19-nightly'] }),
      w.add({ bundles: [seeded.newest['harbor-pilot']] }),
    ]);
    const ends = await Promise.all([w.end(first), w.end(second)]);
    expect(ends.map(({ state_reason: reason }) => reason)).toEqual([
      'The operator bundle(s) were successfully added to the index image',
      'The operator bundle(s) were successfully added to the index image',
    ]);
    expect(ends.map((end) => end.index_image)).toEqual([seeded.fromIndex, seeded.fromIndex]);
    const last = ends
      .toSorted((a, b) => ((a.state_history[0]?.updated ?? '') < (b.state_history[0]?.updated ?? '') ? -1 : 1))
      .at(-1);
    expect(await digestOf(seeded.fromIndex)).toBe(last?.index_image_resolved?.split('@')[1]);
    expect(await digestOf(`${w.sandbox.at.registry}/indexwright/iib-build:v4.19-nightly`)).toBe(
      ends[0].internal_index_image_copy_resolved?.split('@')[1],
    );
    const names = await fbcBundles();
    expect(names).toEqual(expect.arrayContaining(['lighthouse.v1.2.0', 'harbor-pilot.v0.4.0']));
    expect((await w.photograph()).openMergeRequests).toEqual([]);
  });

  test('a replay of the same request is fine: the bundle is present, the catalog keeps its bytes', async () => {
    const { seeded } = w.sandbox;
    const before = await configsTree();
    const ended = await w.end(await w.add({ bundles: [seeded.newest.lighthouse] }));
    expect(ended.state).toBe('complete');
    expect(await configsTree()).toBe(before);
  });

  test('a bundle that does not exist fails the request before anything is touched', async () => {
    const before = await w.photograph();
    const missing = `${w.sandbox.at.registry}/examples/nothing:v1`;
    const ended = await w.end(await w.add({ bundles: [missing] }));
    expect(ended).toMatchObject({
      state: 'failed',
      state_reason: `Failed to inspect docker://${missing}. Make sure it exists and is accessible to IIB.`,
    });
    expect(await w.photograph()).toEqual(before);
  });

  test('a wrong token is told as such, and not shown', async () => {
    const before = await w.photograph();
    const token = 'release:not-the-password';
    const ended = await w.end(
      await w.add({ bundles: [w.sandbox.seeded.newest.lighthouse], overwrite_from_index_token: token }),
    );
    expect(ended.state).toBe('failed');
    expect(ended.state_reason).toMatch(/refused|credentials|token/i);
    expect(JSON.stringify(ended)).not.toContain('not-the-password');
    expect(await w.photograph()).toEqual(before);
  });

  test('an index that is not mapped to a repository', async () => {
    const other = `${w.sandbox.at.registry}/base/operator-registry:v4.19`;
    const ended = await w.end(await w.add({ from_index: other }));
    expect(ended).toMatchObject({
      state: 'failed',
      state_reason: `Git repository mapping not found for from_index: ${other}. index_to_gitlab_push_map is required.`,
    });
  });

  test('an index of another OCP version is built with opm and binary image of version and scope, in its own repository', async () => {
    const client = await w.sandbox.registryClient();
    const bundle = (name: string) => client.resolve(`${w.sandbox.at.registry}/examples/${name}`);
    const index = await w.index('mine/newer-index:v4.20', 'v4.20', [await bundle('lighthouse-bundle:v1.0.0')]);
    const before = await digestOf(w.sandbox.seeded.fromIndex);
    const ended = await w.end(await w.add({ from_index: index, bundles: [await bundle('lighthouse-bundle:v1.1.0')] }));
    expect(ended.state_reason).toBe('The operator bundle(s) were successfully added to the index image');
    expect(await digestOf(index)).toBe(ended.index_image_resolved?.split('@')[1]);
    expect(await digestOf(w.sandbox.seeded.fromIndex)).toBe(before);
    const project = w.project(`${w.sandbox.at.gitlabUrl}/catalogs/mine-newer-index`);
    const file = `${project}/repository/files/${encodeURIComponent('.iib-build-metadata.json')}?ref=v4.20`;
    const { content } = await w.gitlab('GET', file, z.object({ content: z.string() }));
    expect(JSON.parse(Buffer.from(content, 'base64').toString())).toMatchObject({
      opm_version: 'opm-v1.73.0',
      labels: { 'com.redhat.index.delivery.version': 'v4.20' },
      request_id: ended.id,
    });
    const binaryImage = (version: string) => `${w.sandbox.at.registry}/base/operator-registry:${version}`;
    expect(ended).toMatchObject({
      binary_image: binaryImage('v4.20'),
      binary_image_resolved: await client.resolve(binaryImage('v4.20')),
    });
    expect((await client.labels(index)).version).toBe('v4.20');

    const dev = await w.post('add', { from_index: index, distribution_scope: 'dev' });
    const scoped = await w.end(dev);
    expect(scoped).toMatchObject({
      state: 'complete',
      binary_image: binaryImage('v4.19'),
      binary_image_resolved: await client.resolve(binaryImage('v4.19')),
    });
    expect(await client.labels(scoped.index_image ?? '')).toMatchObject({
      version: 'v4.19',
      'com.redhat.index.delivery.version': 'v4.20',
      'com.redhat.index.delivery.distribution_scope': 'dev',
    });
  });

  test('an index whose pipelines run in another namespace: only there is its run looked for and found', async () => {
    const client = await w.sandbox.registryClient();
    const bundle = (name: string) => client.resolve(`${w.sandbox.at.registry}/examples/${name}`);
    const ref = `${w.sandbox.at.registry}/mine/elsewhere-index:v4.19`;
    const bundles = [await bundle('lighthouse-bundle:v1.0.0')];
    await makeIndex(w.sandbox.layout, { ref, ocp: 'v4.19', bundles, namespace: 'other-tenant' });
    const again = (tag: string) =>
      makeIndex(w.sandbox.layout, { ref: ref.replace('v4.19', tag), ocp: 'v4.19', bundles: [] });
    await expect(again('v4.19')).rejects.toThrow(`The index ${ref} exists: take another name, or --replace`);
    await expect(again('other')).rejects.toThrow(/^The branch v4.19 of .* exists: take another name, or --replace/);
    const ended = await w.end(await w.add({ from_index: ref, bundles: [await bundle('lighthouse-bundle:v1.1.0')] }));
    expect(ended.state_reason).toBe('The operator bundle(s) were successfully added to the index image');
    expect(await digestOf(ref)).toBe(ended.index_image_resolved?.split('@')[1]);
    const Runs = z.object({ items: z.array(z.object({ metadata: z.object({ annotations: z.looseObject({}) }) })) });
    const runsIn = async (namespace: string) => {
      const path = `/apis/tekton.dev/v1/namespaces/${namespace}/pipelineruns`;
      const { items } = await clusterAdmin(w.sandbox.layout)('GET', path, Runs);
      return items.map(({ metadata }) => metadata.annotations['pipelinesascode.tekton.dev/source-branch']);
    };
    const branch = `iib-stage-request-${ended.id}-v4.19`;
    expect(await runsIn('other-tenant')).toEqual([branch]);
    expect(await runsIn(NAMESPACE)).not.toContain(branch);
  });

  test('a deprecated bundle is cut off in the whole index, whichever package the request is about', async () => {
    const client = await w.sandbox.registryClient();
    const old = `${w.sandbox.at.registry}/examples/lighthouse-bundle:v1.0.0`;
    const ended = await w.end(await w.add({ deprecation_list: [await client.resolve(old)] }));
    expect(ended.state_reason).toBe('The operator bundle(s) were successfully added to the index image');
    const names = await fbcBundles();
    expect(names).not.toContain('lighthouse.v1.0.0');
    expect(names).toContain('lighthouse.v1.2.0');
  });
});

describe('bundles of a gated queue', () => {
  const gated = async (bundles: string[]) =>
    w.end(await w.post('add', { from_index: w.sandbox.seeded.fromIndex, bundles }, { user: GATED }));
  const buildOf = (name: string) =>
    newOperator(w, name, { 'com.redhat.component': name, version: '1.0', release: '7' });

  test('go into the index when Greenwave is satisfied; it is not asked for those of other queues', async () => {
    const ended = await gated([await buildOf('signal')]);
    expect(ended.state_reason).toBe('The operator bundle(s) were successfully added to the index image');
    expect(greenwave.asked).toEqual([
      {
        decision_context: 'release',
        product_version: 'cvp',
        subject_type: 'koji_build',
        subject_identifier: 'signal-1.0-7',
      },
    ]);
  });

  test('are refused when it is not, with the requirements named', async () => {
    const [fine, unsigned, unscanned] = [await buildOf('fine'), await buildOf('unsigned'), await buildOf('unscanned')];
    greenwave.lack('unsigned-1.0-7', ['signature']);
    greenwave.lack('unscanned-1.0-7', ['signature', 'scan']);
    const before = await w.photograph();
    expect(await gated([fine, unsigned, unscanned])).toMatchObject({
      state: 'failed',
      state_reason: `Unsatisfied Greenwave policy for ${unsigned}, ${unscanned} with decision_context: release, product_version: cvp, subject_type: koji_build and test cases: signature, scan`,
    });
    expect(await w.photograph()).toEqual(before);
  });

  test('wait for a Greenwave that cannot be asked, and then fail for that reason', async () => {
    const bundle = await buildOf('waiting');
    await greenwave.close();
    const before = await w.photograph();
    expect(await gated([bundle])).toMatchObject({
      state: 'failed',
      state_reason: expect.stringMatching(/^Gating check failed for .*@sha256:\w+: connect ECONNREFUSED/),
    });
    expect(await w.photograph()).toEqual(before);
  });
});

/** Names of all bundles in the catalog branch. */
async function fbcBundles(): Promise<string[]> {
  const names: string[] = [];
  for (const operator of ['lighthouse', 'harbor-pilot']) {
    const path = encodeURIComponent(`configs/${operator}/catalog.json`);
    const answer = await fetch(
      `${w.sandbox.at.gitlabUrl}/api/v4${w.project()}/repository/files/${path}/raw?ref=v4.19`,
      { headers: { 'private-token': w.sandbox.seeded.gitlabToken } },
    );
    const text = await answer.text();
    for (const [, name] of text.matchAll(/"schema": "olm\.bundle",\s+"name": "([^"]+)"/g)) names.push(name ?? '');
  }
  return names;
}

/** Git's id of the catalog's content. */
async function configsTree(): Promise<string> {
  const Entries = z.array(z.object({ path: z.string(), id: z.string() }));
  const tree = await w.gitlab('GET', `${w.project()}/repository/tree?ref=v4.19&per_page=100`, Entries);
  return tree.find(({ path }) => path === 'configs')?.id ?? 'absent';
}
