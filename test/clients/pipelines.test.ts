import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { run } from '../../src/process/run.ts';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { releaseToken } from '../e2e/support/content.ts';
import { type World, world } from '../e2e/support/world.ts';

// biome-ignore lint/suspicious/noExplicitAny: the clients look into answers without types, too
type Json = any;

const USER = 'pipeline@EXAMPLE.COM';
let here: World;
beforeAll(async () => {
  here = await world({ workers: 1 });
});
afterAll(() => here?.close());

const builds = () => `${here.sandbox.at.apiUrl}/api/v1/builds`;
const index = () => here.sandbox.seeded.fromIndex;
const get = async (query: string): Promise<Json> => (await fetch(`${builds()}${query}`)).json();

async function post(route: string, body: object): Promise<{ status: number; json: Json }> {
  const answer = await fetch(`${builds()}/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-remote-user': USER },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: await answer.json() };
}

/** Asks again until it is so, as the clients do, only sooner. */
async function until(ask: () => Promise<Json>, enough: (json: Json) => boolean): Promise<Json> {
  let seen: Json;
  await expect
    .poll(
      async () => {
        seen = await ask();
        return enough(seen);
      },
      { interval: 100, timeout: 120_000 },
    )
    .toBe(true);
  return seen;
}

/** Pushes a fragment with one package of one bundle. */
async function fragment(name: string): Promise<string> {
  const fbcDir = mkdtempSync(join(tmpdir(), 'indexwright-fragment-'));
  try {
    const file = join(fbcDir, name, 'catalog.json');
    mkdirSync(dirname(file), { recursive: true });
    const bundle = `${name}.v1.0.0`;
    writeFileSync(
      file,
      jsonText([
        { schema: 'olm.package', name, defaultChannel: 'stable' },
        { schema: 'olm.channel', package: name, name: 'stable', entries: [{ name: bundle }] },
        {
          schema: 'olm.bundle',
          package: name,
          name: bundle,
          image: `example.com/${name}@sha256:${'1'.repeat(64)}`,
          properties: [{ type: 'olm.package', value: { packageName: name, version: '1.0.0' } }],
        },
      ]),
    );
    const ref = `${here.sandbox.at.registry}/fragments/${name}:v1`;
    await pushFragmentImage(await here.sandbox.registryClient(), { fbcDir, ref });
    return ref;
  } finally {
    rmSync(fbcDir, { recursive: true, force: true });
  }
}

describe('operator-pipelines', () => {
  /** wait_for_batch_results: all of the first page complete, or any failed. */
  const batchEnd = (batch: number) =>
    until(
      () => get(`?batch=${batch}`),
      ({ items }) =>
        items.every(({ state }: Json) => state === 'complete') || items.some(({ state }: Json) => state === 'failed'),
    );

  test('entrypoint index: a batch of additions to several catalogs', async () => {
    const older = ['v1.0.0', 'v1.1.0'].map((tag) => `${here.sandbox.at.registry}/examples/lighthouse-bundle:${tag}`);
    const other = await here.index('catalogs/example-index:v4.18', 'v4.18', older);
    const bundle = here.sandbox.seeded.newest.lighthouse;
    const request = { bundles: [bundle], add_arches: ['amd64', 's390x', 'ppc64le'] };
    const { status, json } = await post('add-rm-batch', {
      build_requests: [
        { ...request, from_index: index() },
        { ...request, from_index: other, build_tags: ['v4.18-community'] },
      ],
    });
    expect(status).toBe(201);
    const { items } = await batchEnd(json[0].batch);
    expect(items.map(({ state, state_reason: reason }: Json) => [state, reason])).toEqual([
      ['complete', 'The operator bundle(s) were successfully added to the index image'],
      ['complete', 'The operator bundle(s) were successfully added to the index image'],
    ]);
    // from_index is what its answers are joined by, the tag after the last colon is the OCP version.
    const versions = items.map(({ from_index: from }: Json) => from.split(':').at(-1)).sort();
    expect(versions).toEqual(['v4.18', 'v4.19']);
    for (const item of items) {
      expect([index(), other]).toContain(item.from_index);
      expect(item.index_image_resolved).toMatch(/@sha256:[0-9a-f]{64}$/);
    }
  });

  test('entrypoint rm_operator_from_index: a batch of removals, one of which fails', async () => {
    const missing = `${here.sandbox.at.registry}/catalogs/nothing:v4.19`;
    const { json } = await post('add-rm-batch', {
      build_requests: [
        { from_index: index(), operators: ['lighthouse'] },
        { from_index: missing, operators: ['lighthouse'], build_tags: ['x'] },
      ],
    });
    const { items } = await batchEnd(json[0].batch);
    const failed = items.find(({ state }: Json) => state === 'failed');
    expect(failed).toMatchObject({ from_index: missing, state_reason: expect.stringContaining(missing) });
    expect((await get(`/${failed.id}`)).state_history.length).toBeGreaterThan(1);
  });

  test('entrypoint add_fbc_fragments_to_index', async () => {
    const { json } = await post('fbc-operations', {
      from_index: index(),
      fbc_fragment: await fragment('beacon'),
      build_tags: ['v4.19-beacon'],
    });
    expect(json.id).toBeGreaterThan(0);
    const ended = await until(
      () => get(`/${json.id}`),
      ({ state }) => state !== 'in_progress',
    );
    expect(ended).toMatchObject({ state: 'complete', from_index: index(), fbc_fragments: [] });
  });
});

describe("Konflux's update-fbc-catalog task", () => {
  const look = (state: string, from: string) =>
    get(`?user=${encodeURIComponent(USER)}&from_index=${encodeURIComponent(from)}&state=${state}`);

  test('step by step: look for an earlier build, send, wait, read the log, check the image', async () => {
    const fragments = [await fragment('anchor'), await fragment('compass')].sort();
    // 1. and 2. Has the same been built already, or is it being built?
    for (const state of ['complete', 'in_progress']) {
      const { items, error } = await look(state, index());
      expect(error).toBeUndefined();
      expect(items.filter(({ fbc_fragments: given }: Json) => `${given}` === `${fragments}`)).toEqual([]);
    }
    // 3. Send.
    const { status, json } = await post('fbc-operations', {
      fbc_fragments: fragments,
      from_index: index(),
      build_tags: ['v4.19-konflux'],
      add_arches: ['amd64'],
      overwrite_from_index: true,
      overwrite_from_index_token: releaseToken(here),
    });
    expect([status, json.error]).toEqual([201, undefined]);
    expect(json.logs.url).toContain(`/builds/${json.id}/logs`);
    // The log is not there before the end.
    expect((await fetch(json.logs.url)).status).toBe(400);
    // 4. Who comes meanwhile finds it.
    const { items } = await look('in_progress', index());
    expect(items[0]).toMatchObject({ id: json.id, fbc_fragments: fragments, distribution_scope: null });
    // 5. Wait.
    const ended = await until(
      () => get(`/${json.id}`),
      ({ state }) => state !== 'in_progress',
    );
    expect(ended).toMatchObject({ state: 'complete', index_image: index() });
    expect(ended.internal_index_image_copy).toBeTruthy();
    // A Tekton result holds 4096 bytes, the history taken out.
    const { state_history: _, ...result } = ended;
    expect(JSON.stringify(result).length).toBeLessThan(4096);
    const log = await fetch(ended.logs.url);
    expect([log.status, (await log.text()).length > 0]).toEqual([200, true]);
    // 6. Who comes again finds the finished one with the same fragments and tags.
    const again = (await look('complete', index())).items[0];
    expect(again).toMatchObject({ id: json.id, fbc_fragments: fragments, build_tags: ['v4.19-konflux'] });
    expect(Date.parse(again.updated)).toBeGreaterThan(0);
    // 7. The image is a list whose children have Docker's media type.
    const [, digest] = ended.index_image_resolved.split('@');
    expect(digest).toBe(await (await here.sandbox.registryClient()).digestOf(index()));
    const { url, headers } = manifestUrl(ended.index_image_resolved);
    const manifest = (await (await fetch(url, { headers })).json()) as Json;
    expect(manifest.mediaType).toBe('application/vnd.docker.distribution.manifest.list.v2+json');
    expect([...new Set(manifest.manifests.map(({ mediaType }: Json) => mediaType))]).toEqual([
      'application/vnd.docker.distribution.manifest.v2+json',
    ]);
  });

  test('an earlier build is used again only while the index has not changed since', async () => {
    const insist = async (route: string, body: object) => {
      const { json } = await post(route, { from_index: index(), ...body });
      return until(
        () => get(`/${json.id}`),
        ({ state }) => state !== 'in_progress',
      );
    };
    /** Seconds since 1970, as `date +%s` has them. */
    const dateOf = async (spec: string) => {
      const { release } = here.sandbox.layout.identity.registryUsers;
      const args = ['inspect', '--config', '--tls-verify=false', `--creds=release:${release}`, `docker://${spec}`];
      const { stdout } = await run('skopeo', args, { timeout: 60_000 });
      return Math.floor(Date.parse((JSON.parse(stdout) as Json).created) / 1000);
    };
    /** The task's own comparison. */
    const isStale = async ({ index_image_resolved: built }: Json) => (await dateOf(built)) < (await dateOf(index()));
    const nextSecond = async () => {
      const second = Math.floor(Date.now() / 1000);
      await expect.poll(() => Math.floor(Date.now() / 1000), { interval: 20 }).toBeGreaterThan(second);
    };
    const overwriting = { overwrite_from_index: true, overwrite_from_index_token: releaseToken(here) };

    const before = Math.floor(Date.now() / 1000);
    const build = await insist('fbc-operations', { fbc_fragments: [await fragment('quadrant')] });
    expect(build).toMatchObject({ state: 'complete' });
    expect(await dateOf(build.index_image_resolved)).toBeGreaterThanOrEqual(before);
    expect(await isStale(build)).toBe(false);
    await nextSecond();
    const published = await insist('fbc-operations', { fbc_fragments: [await fragment('astrolabe')], ...overwriting });
    expect(published).toMatchObject({ state: 'complete' });
    expect([await isStale(build), await isStale(published)]).toEqual([true, false]);
    await nextSecond();
    const removed = await insist('rm', { operators: ['astrolabe'], ...overwriting });
    expect([await isStale(published), await isStale(removed)]).toEqual([true, false]);
  });

  test('a refused request has an error and nothing else', async () => {
    const { status, json } = await post('fbc-operations', {
      fbc_fragments: ['untagged'],
      from_index: index(),
      overwrite_from_index: true,
      overwrite_from_index_token: 'user:token',
    });
    expect([status, json]).toEqual([400, { error: 'Image untagged should have a tag or a digest specified.' }]);
  });

  test('a user without requests, and an index nobody knows', async () => {
    expect((await get('?user=nobody&state=complete')).items).toEqual([]);
    expect((await look('complete', 'reg.example.com/never:seen')).error).toBe(
      'from_index reg.example.com/never:seen is not a valid index image',
    );
  });
});

function manifestUrl(spec: string): { url: string; headers: Record<string, string> } {
  const [name = '', digest] = spec.split('@');
  const [host, ...path] = name.split('/');
  const { release } = here.sandbox.layout.identity.registryUsers;
  const basic = Buffer.from(`release:${release}`).toString('base64');
  const accept = 'application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json';
  return {
    url: `http://${host}/v2/${path.join('/')}/manifests/${digest}`,
    headers: { accept, authorization: `Basic ${basic}` },
  };
}
