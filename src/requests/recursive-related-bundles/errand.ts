import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openCsvs } from '../../bundle/csv-edit.ts';
import { customize, relatedBundles } from '../../bundle/customize.ts';
import { qualified } from '../../bundle/image-name.ts';
import { customizationsOf } from '../../config/customizations.ts';
import type { Config } from '../../config/schema.ts';
import { Failure } from '../../errors/failure.ts';
import { artifactPath, writeArtifact } from '../../storage/directories.ts';
import { unpackBundle } from '../unpack-bundle.ts';
import { type Desk, errand } from '../work.ts';
import { RecursiveRelatedBundlesPayload } from './payload.ts';
import { traverse } from './traverse.ts';

/** Finds all bundles a bundle refers to, directly or by others, and lists them in a file (request-handling.md §12). */
export const recursiveRelatedBundles = errand<RecursiveRelatedBundlesPayload>({
  payload: RecursiveRelatedBundlesPayload,
  async run({ id, payload }, desk) {
    const { config, registry, report } = desk;
    if (artifactPath(config.storage, 'nested_bundles', id) === null) {
      throw new Failure(
        'configuration_invalid',
        'The service keeps no nested bundles: it is configured without a directory',
      );
    }
    await report('Resolving parent_bundle_image');
    const parent = await registry.resolve(payload.parent_bundle_image);
    await desk.record({ parent_bundle_image_resolved: parent });
    await report(`Finding recursive related bundles for the bundle: ${payload.parent_bundle_image}`);
    const listed = await traverse(
      parent,
      {
        resolve: (bundle) => registry.resolve(qualified(bundle)),
        children: (resolved) => childrenOf(resolved, payload.organization, desk),
      },
      config.maxRecursiveRelatedBundles,
    );
    await report('Writing recursive related bundles to a file');
    await writeArtifact(config.storage, 'nested_bundles', id, JSON.stringify(listed));
    return 'The request completed successfully';
  },
});

/** The bundles a bundle refers to once the organization's changes are made that a regenerated one would get. */
async function childrenOf(bundle: string, organization: string | null, desk: Desk): Promise<string[]> {
  const bundleDir = await mkdtemp(join(desk.scratch, 'bundle-'));
  try {
    await unpackBundle(desk, bundle, bundleDir);
    if (organization !== null) {
      await customize({
        bundleDir,
        customizations: customizationsBefore(desk.config, organization),
        organization,
        pinned: false,
        replacements: {},
        images: desk.registry,
      });
    }
    return await relatedBundles(await openCsvs(join(bundleDir, 'manifests')), desk.registry);
  } finally {
    await rm(bundleDir, { recursive: true, force: true });
  }
}

/** The organization's customizations up to the one that looks for related bundles; all when there is none. */
function customizationsBefore({ organizationCustomizations }: Config, organization: string) {
  const all = customizationsOf(organizationCustomizations, organization);
  const end = all.findIndex(({ type }) => type === 'related_bundles');
  return end < 0 ? all : all.slice(0, end);
}
