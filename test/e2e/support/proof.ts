import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { packagesIn } from '../../../src/catalog/index-db.ts';
import { createArtifacts } from '../../../src/registry/artifact.ts';
import { extractDirectory } from '../../../src/registry/layers.ts';
import { pushBundleImage } from '../../../src/sandbox/bundle-image.ts';
import type { Photograph } from '../../../src/sandbox/photograph.ts';
import { NAMESPACE } from '../../../src/sandbox/service-files.ts';
import { clusterAdmin } from '../../../src/sandbox/tenant.ts';
import type { AnyWorld, View } from './world.ts';

const LIGHTHOUSE = resolve(import.meta.dirname, '../../../examples/bundles/lighthouse/1.0.0');
export const ADDED = 'The operator bundle(s) were successfully added to the index image';

/** The bundle of an operator that no index has yet, by digest: the example lighthouse under another name. */
export async function newOperator(w: AnyWorld, name: string, labels: Record<string, string> = {}): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-operator-'));
  try {
    cpSync(LIGHTHOUSE, dir, { recursive: true });
    for (const file of readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('yaml'),
    )) {
      const text = readFileSync(join(dir, file), 'utf8');
      writeFileSync(join(dir, file), text.replaceAll('lighthouse', name));
    }
    const ref = `${w.sandbox.at.registry}/examples/${name}-bundle:v1.0.0`;
    return await pushBundleImage(await w.sandbox.registryClient(), { bundleDir: dir, ref, labels });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The operators of the seeded index, as each of the three places that must agree has them. */
export async function operatorsOf(w: AnyWorld): Promise<Record<'branch' | 'artifact' | 'image', string[]>> {
  const client = await w.sandbox.registryClient();
  const scratch = mkdtempSync(join(tmpdir(), 'indexwright-proof-'));
  try {
    const { path } = await createArtifacts({ cacheDir: join(scratch, 'cache') }).pull(client, sharedArtifact(w));
    const image = await client.resolve(w.sandbox.seeded.fromIndex);
    await extractDirectory({ client, image, directory: '/configs', to: join(scratch, 'configs') });
    const tree = await w.gitlab(
      'GET',
      `${w.project()}/repository/tree?ref=v4.19&path=configs&per_page=100`,
      z.array(z.object({ name: z.string() })),
    );
    return {
      branch: tree.map(({ name }) => name).sort(),
      artifact: packagesIn(path).sort(),
      image: readdirSync(join(scratch, 'configs')).sort(),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const sharedArtifact = (w: AnyWorld) => `${w.sandbox.at.registry}/indexwright/index-db:example-index-v4.19`;
const inRegistry = (w: AnyWorld, spec: string) => spec.slice(w.sandbox.at.registry.length + 1);

/**
 * An overwriting add is complete, everything that people can see agrees, and nothing else has changed.
 *
 * @param between other requests that were complete since the photograph, before this one
 */
export async function expectPublished(
  w: AnyWorld,
  ended: View,
  operator: string,
  before: Photograph,
  between: Pick<View, 'id'>[] = [],
): Promise<void> {
  expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
  const after = await w.photograph();
  const index = inRegistry(w, w.sandbox.seeded.fromIndex);
  const shared = inRegistry(w, sharedArtifact(w));
  const output = (id: number) => `indexwright/iib-build:${id}`;
  const theirs = between.flatMap(({ id }) => [output(id), `${shared}-${id}`]);
  const digest = ended.index_image_resolved?.split('@')[1];
  expect(after.tags).toEqual({
    ...before.tags,
    ...Object.fromEntries(theirs.map((tag) => [tag, expect.any(String)])),
    [index]: digest,
    [output(ended.id)]: digest,
    [shared]: after.tags[`${shared}-${ended.id}`],
    [`${shared}-${ended.id}`]: expect.any(String),
  });
  expect(after.openMergeRequests).toEqual(before.openMergeRequests);
  expect(Object.keys(after.branches)).toEqual(Object.keys(before.branches));
  const { branch, artifact, image } = await operatorsOf(w);
  expect(branch).toContain(operator);
  expect({ artifact, image }).toEqual({ artifact: branch, image: branch });
  await expectQuiet(w);
}

/** A request has failed for this reason, and the world looks as it did before it. */
export async function expectUndone(
  w: AnyWorld,
  ended: View,
  reason: string | RegExp,
  before: Photograph,
): Promise<void> {
  expect(ended).toMatchObject({ state: 'failed', state_reason: expect.stringMatching(reason) });
  expect(await w.photograph()).toEqual(before);
  await expectQuiet(w);
}

const Runs = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({ completionTime: z.string().optional() }).optional(),
    }),
  ),
});

/** Nothing goes on: no pipeline runs, no delivery is open, no token is kept. */
async function expectQuiet(w: AnyWorld): Promise<void> {
  const cluster = clusterAdmin(w.sandbox.layout);
  const going = async () => {
    const { items } = await cluster('GET', `/apis/tekton.dev/v1/namespaces/${NAMESPACE}/pipelineruns`, Runs);
    return items.filter(({ status }) => !status?.completionTime).map(({ metadata }) => metadata.name);
  };
  // A run that is cancelled has its `finally` tasks to do.
  await expect.poll(going, { timeout: 60_000 }).toEqual([]);
  const left = `select (select count(*) from request_secrets)::int as secrets,
    (select count(*) from deliveries where ended_at is null or undo_error is not null)::int as deliveries`;
  const counts = z.object({ secrets: z.number(), deliveries: z.number() });
  expect(await w.query(left, counts)).toEqual([{ secrets: 0, deliveries: 0 }]);
}
