import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RegistryClient } from '../../src/registry/client.ts';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { bundleFiles, IS_BUNDLE, pushImage } from './support/bundle-images.ts';
import { startVault, type Vault } from './support/vault.ts';
import { type World, world } from './support/world.ts';

let w: World;
let client: RegistryClient;
let vault: Vault;
let worker: RunningProgram;

beforeAll(async () => {
  vault = await startVault();
  w = await world({
    workers: 0,
    settings: ({ registry }) => ({
      registry: { insecure: [registry, vault.host] },
      organizationCustomizations: {
        movers: [
          { type: 'registry_replacements', replacements: { 'images.example.com': registry } },
          { type: 'related_bundles' },
          { type: 'registry_replacements', replacements: { [registry]: 'nowhere.example.com' } },
        ],
      },
    }),
  });
  worker = await w.sandbox.startWorker('worker-1');
  client = await w.sandbox.registryClient();
});
afterAll(async () => {
  await w?.close();
  await vault?.close();
});

const at = (name: string) => `${w.sandbox.at.registry}/nested/${name}:v1`;

/** A bundle that refers to these images; gives its pull spec by digest. */
function bundle(name: string, children: readonly string[]): Promise<string> {
  return pushImage(client, { ref: at(name), labels: IS_BUNDLE, files: bundleFiles(name, children) });
}

async function find(body: Record<string, unknown>) {
  const ended = await w.end(await w.post('recursive-related-bundles', body));
  const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${ended.id}/nested-bundles`);
  return { ended, listed: answer.status === 200 ? z.array(z.string()).parse(await answer.json()) : answer.status };
}

const DONE = 'The request completed successfully';

describe('recursive-related-bundles', () => {
  test('lists the deepest level first and the parent, by digest, last', async () => {
    await pushImage(client, { ref: at('plain') });
    await bundle('leaf', []);
    await bundle('left', [at('leaf'), at('plain')]);
    const right = await bundle('right', []);
    const parent = await bundle('parent', [at('left'), at('plain'), right]);
    const { ended, listed } = await find({ parent_bundle_image: at('parent') });
    expect(listed).toEqual([at('leaf'), right, at('left'), parent]);
    expect(ended).toMatchObject({ state_reason: DONE, parent_bundle_image_resolved: parent, arches: [] });
    expect(ended.state_history.map(({ state_reason }) => state_reason).reverse()).toEqual([
      'The request was initiated',
      'Resolving parent_bundle_image',
      `Finding recursive related bundles for the bundle: ${at('parent')}`,
      'Writing recursive related bundles to a file',
      DONE,
    ]);
    expect(await w.query('select id from deliveries', z.object({ id: z.number() }))).toEqual([]);
  });

  test('a diamond lists its tip for each side and expands it once', async () => {
    await bundle('below-tip', []);
    await bundle('tip', [at('below-tip')]);
    await bundle('side-a', [at('tip')]);
    await bundle('side-b', [at('tip')]);
    const parent = await bundle('diamond', [at('side-a'), at('side-b')]);
    const { listed } = await find({ parent_bundle_image: at('diamond') });
    expect(listed).toEqual([at('below-tip'), at('tip'), at('tip'), at('side-b'), at('side-a'), parent]);
  });

  test('a circle ends', async () => {
    await bundle('circle', [at('circle-other')]);
    await bundle('circle-other', [at('circle')]);
    const parent = await client.resolve(at('circle'));
    const { listed, ended } = await find({ parent_bundle_image: at('circle') });
    expect(ended.state).toBe('complete');
    expect(listed).toEqual([at('circle'), at('circle-other'), parent]);
  });

  test('14 bundles are fine, 15 are too many', async () => {
    const names = Array.from({ length: 15 }, (_, index) => `many-${index}`);
    for (const name of names) await bundle(name, []);
    const parent = await bundle('fourteen', names.slice(0, 14).map(at));
    expect((await find({ parent_bundle_image: at('fourteen') })).listed).toEqual([
      ...names.slice(0, 14).map(at).reverse(),
      parent,
    ]);
    await bundle('fifteen', names.map(at));
    const { ended, listed } = await find({ parent_bundle_image: at('fifteen') });
    expect(ended).toMatchObject({
      state: 'failed',
      state_reason: 'Max number of related bundles exceeded. Potential DOS attack!',
    });
    expect(listed).toBe(500);
  });

  test('a child that cannot be read fails the request', async () => {
    await bundle('orphan', [at('gone')]);
    const { ended } = await find({ parent_bundle_image: at('orphan') });
    expect(ended).toMatchObject({
      state: 'failed',
      state_reason: `Failed to inspect docker://${at('gone')}. Make sure it exists and is accessible to IIB.`,
    });
  });

  test("an organization's customizations are made up to related_bundles, and no further", async () => {
    await bundle('moved', []);
    const elsewhere = at('moved').replace(w.sandbox.at.registry, 'images.example.com');
    const parent = await bundle('mover', [elsewhere]);
    const { listed, ended } = await find({ parent_bundle_image: at('mover'), organization: 'movers' });
    expect(ended.state_reason).toBe(DONE);
    expect(listed).toEqual([at('moved'), parent]);
  });

  test('an unknown organization gets its references pinned', async () => {
    const parent = await bundle('pinner', [at('leaf')]);
    const { listed } = await find({ parent_bundle_image: at('pinner'), organization: 'nobody' });
    expect(listed).toEqual([await client.resolve(at('leaf')), parent]);
  });

  test('registry_auths open what the service may not read, for this request alone', async () => {
    const inVault = `${vault.host}/secret/bundle:v1`;
    await pushImage(vault.client, { ref: inVault, labels: IS_BUNDLE, files: bundleFiles('secret', []) });
    const parent = await bundle('visitor', [inVault]);
    const { listed, ended } = await find({
      parent_bundle_image: at('visitor'),
      registry_auths: vault.auths,
    });
    expect(ended.state_reason).toBe(DONE);
    expect(listed).toEqual([inVault, parent]);
    const without = await find({ parent_bundle_image: at('visitor') });
    expect(without.ended.state).toBe('failed');
    expect(await w.query('select * from request_secrets', z.unknown())).toEqual([]);
  });

  test('a worker that dies is followed by one that begins again', async () => {
    const inVault = `${vault.host}/secret/slow:v1`;
    await pushImage(vault.client, { ref: inVault, labels: IS_BUNDLE, files: bundleFiles('slow', []) });
    const parent = await bundle('patient', [inVault]);
    // A registry that stands still holds the worker in the middle of its work.
    process.kill(vault.pid, 'SIGSTOP');
    try {
      const request = await w.post('recursive-related-bundles', {
        parent_bundle_image: at('patient'),
        registry_auths: vault.auths,
      });
      await w.reason(request, /^Finding/);
      await worker.kill();
      process.kill(vault.pid, 'SIGCONT');
      worker = await w.sandbox.startWorker('successor');
      expect(await w.end(request)).toMatchObject({ state: 'complete', state_reason: DONE });
      const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${request.id}/nested-bundles`);
      expect(await answer.json()).toEqual([inVault, parent]);
      expect(await w.query('select * from request_secrets', z.unknown())).toEqual([]);
    } finally {
      process.kill(vault.pid, 'SIGCONT');
    }
  });
});
