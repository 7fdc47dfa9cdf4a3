import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { customize, isTrue, PINNED_LABEL } from '../../bundle/customize.ts';
import { bundleDockerfile } from '../../bundle/dockerfile.ts';
import { bundleMetadata } from '../../catalog/metadata.ts';
import { customizationsOf } from '../../config/customizations.ts';
import { Failure } from '../../errors/failure.ts';
import { artifactPath, writeArtifact } from '../../storage/directories.ts';
import { outputsOf } from '../index-change.ts';
import { BUNDLE_FOLDERS, unpackBundle } from '../unpack-bundle.ts';
import { type Changed, type Destination, type Reading, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { RegenerateBundlePayload } from './payload.ts';

/** Builds a bundle anew with pinned and customized references (request-handling.md §11). */
export const regenerateBundle = requestWork<RegenerateBundlePayload>({
  payload: RegenerateBundlePayload,
  tokens: () => [],
  overwrites: () => null,
  destination: async (_item, reading) => destinationOf(reading),
  change,
});

async function change({ id, payload }: WorkItem<RegenerateBundlePayload>, shop: Workshop): Promise<Changed> {
  const { config, registry, report } = shop;
  const { from_bundle_image: image, organization } = payload;
  await report('Resolving from_bundle_image');
  const resolved = await registry.resolve(image);
  const arches = (await registry.arches(resolved)).sort();
  if (arches.length === 0) {
    const text = `No arches were found in the resolved from_bundle_image ${resolved}`;
    throw new Failure('arches_unavailable', text);
  }
  const labels = await registry.labels(resolved);
  await shop.record({ from_bundle_image_resolved: resolved });
  await report(`Regenerating the bundle image for the following arches: ${arches.join(', ')}`);

  const destination = destinationOf(shop);
  await report('Cloning Git repository');
  const workspace = await shop.openCatalog(destination);
  await report('Extracting bundle contents');
  for (const name of BUNDLE_FOLDERS) await workspace.removePath(name, shop.signal);
  await unpackBundle(shop, resolved, workspace.dir);

  await report('Modifying bundle manifests');
  const customized = await customize({
    bundleDir: workspace.dir,
    customizations: customizationsOf(config.organizationCustomizations, organization),
    organization,
    pinned: isTrue(labels[PINNED_LABEL] ?? ''),
    replacements: payload.bundle_replacements,
    images: registry,
    ...(artifactPath(config.storage, 'related_bundles', id) === null
      ? {}
      : {
          keepRelatedBundles: (bundles) =>
            writeArtifact(config.storage, 'related_bundles', id, JSON.stringify(bundles)),
        }),
  });
  await report('Creating Dockerfile');
  const dockerfile = bundleDockerfile({ from: resolved, labels: customized.labels });
  await writeFile(join(workspace.dir, 'Dockerfile'), dockerfile);

  return {
    destination,
    arches,
    commit: {
      subject: `IIB: Regenerate bundle for request ${id}`,
      body: `Organization: ${organization ?? 'None'}\nPackage: ${customized.packageName}`,
    },
    metadata: bundleMetadata({ requestId: id, arches, organization, packageName: customized.packageName }),
    packages: null,
    indexDb: null,
    planned: {
      id,
      failurePrefix: 'Failed to regenerate bundle: ',
      done: 'The request completed successfully',
      ...outputsOf(config, id, []),
      index: null,
      overwrites: null,
      artifact: null,
      records: { arches: 'arches', bundle_image: 'image' },
    },
  };
}

function destinationOf({ config }: Pick<Reading, 'config'>): Destination {
  const { bundleRepository } = config;
  if (bundleRepository === undefined) {
    throw new Failure('index_not_mapped', 'Repository not found for key: regenerate-bundle');
  }
  return { catalog: bundleRepository, branch: bundleRepository.branch, overwrite: false };
}
