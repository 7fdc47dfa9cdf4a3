import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertBundlesExist, unfitBundles } from '../../../src/requests/merge-index-image/bundles.ts';
import { indexVersion } from '../../../src/requests/merge-index-image/ocp-versions.ts';
import { pushBundleImage } from '../../../src/sandbox/bundle-image.ts';
import { type ReadingWorld, readingWorld } from '../workshop.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../../examples/bundles/lighthouse/1.0.0');
const LABELS = ['v4.5', '=v4.6', 'v4.5-v4.7', '', 'latest', '=v4.19|>=v4.20'];

let world: ReadingWorld;
/** In the order of LABELS. */
const bundles: string[] = [];
beforeAll(async () => {
  world = await readingWorld();
  for (const [at, label] of LABELS.entries()) {
    const labels = { 'com.redhat.openshift.versions': label };
    const ref = `${world.registry.host}/bundle:${at}`;
    bundles.push(await pushBundleImage(world.client, { bundleDir: EXAMPLE, ref, labels }));
  }
});
afterAll(() => world?.close());

const unfit = async (version: string, without: 'fits' | 'does not fit') =>
  (await unfitBundles(bundles, indexVersion(version), without, world.shop)).map(
    (path) => LABELS[bundles.indexOf(path)],
  );

test('bundles that are not for the version, in their order', async () => {
  expect(await unfit('v4.6', 'does not fit')).toEqual(['', 'latest', '=v4.19|>=v4.20']);
  expect(await unfit('v4.20', 'does not fit')).toEqual(['=v4.6', 'v4.5-v4.7', '', 'latest']);
});

test('those without label count as the waiver says; unreadable ones never fit', async () => {
  expect(await unfit('v4.6', 'fits')).toEqual(['latest', '=v4.19|>=v4.20']);
});

test('a bundle that is not there is named', async () => {
  await assertBundlesExist(bundles, world.shop);
  const gone = `${world.registry.host}/bundle@sha256:${'0'.repeat(64)}`;
  await expect(assertBundlesExist([...bundles, gone], world.shop)).rejects.toMatchObject({
    code: 'image_not_found',
    message: `Error validating bundle ${gone}: Failed to inspect docker://${gone}. Make sure it exists and is accessible to IIB.`,
  });
});

test('labels are read once for all requests; whether a bundle is there is asked each time', async () => {
  await unfit('v4.6', 'fits');
  const { serviceRegistry } = { ...world.shop };
  const other = {
    ...world.shop,
    serviceRegistry: { ...serviceRegistry, labels: () => Promise.reject(new Error('asked')) },
  };
  await expect(unfitBundles(bundles, indexVersion('v4.6'), 'fits', other)).resolves.toHaveLength(2);
  const stranger = { ...world.shop, serviceRegistry: world.shop.registry };
  await expect(assertBundlesExist(bundles, stranger)).rejects.toMatchObject({ code: 'registry_denied' });
});
