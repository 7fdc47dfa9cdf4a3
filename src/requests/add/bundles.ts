import { join } from 'node:path';
import { assertRequiredLabels, type Labels, manifestsPathOf } from '../../bundle/labels.ts';
import { replaceRegistry } from '../../bundle/related-images.ts';
import { inThread } from '../../bundle/thread.ts';
import { asFailure, Failure } from '../../errors/failure.ts';
import { extractDirectory } from '../../registry/layers.ts';
import { parsePullSpec } from '../../registry/pull-spec.ts';
import type { Workshop } from '../work.ts';

export interface ResolvedBundle {
  /** As the client wrote it. */
  spec: string;
  /** By digest. */
  resolved: string;
  labels: Labels;
}

/**
 * Resolves the bundles of a request, in its order, and checks what can be checked before the index is looked at:
 * required labels, and on demand that every related image is there (request-handling.md §3.4, §3.6).
 *
 * @throws Failure with the sentences of those sections
 */
export async function readBundles(
  specs: readonly string[],
  shop: Workshop & { user: string | null; relatedImages: boolean | null },
): Promise<ResolvedBundle[]> {
  const { registry, config } = shop;
  const bundles: ResolvedBundle[] = [];
  for (const spec of specs) {
    const resolved = await registry.resolveBundle(spec);
    const labels = await registry.labels(resolved);
    bundles.push({ spec, resolved, labels });
  }
  for (const { resolved, labels } of bundles) assertRequiredLabels(resolved, labels, config.requiredLabels);
  if (shop.relatedImages) await assertRelatedImages(bundles, shop);
  return bundles;
}

async function assertRelatedImages(bundles: readonly ResolvedBundle[], shop: Workshop & { user: string | null }) {
  const { registry, config, scratch, user } = shop;
  const replacements = user === null ? {} : (config.relatedImageRegistries[user] ?? {});
  const missing: string[] = [];
  for (const { resolved, labels } of bundles) {
    const to = join(scratch, `related-${parsePullSpec(resolved).digest?.slice(7, 19)}`);
    await extractDirectory({ client: registry, image: resolved, directory: manifestsPathOf(labels), to });
    const images = (await inThread('readCsvImages', to)).map(({ image }) => image);
    for (const image of new Set(images.map((one) => replaceRegistry(one, replacements)))) {
      await registry.manifest(image).catch((thrown: unknown) => {
        if (asFailure(thrown).verdict !== 'user') throw thrown;
        missing.push(image);
      });
    }
  }
  if (missing.length > 0) {
    const list = `[${missing.map((image) => `'${image}'`).join(', ')}]`;
    throw new Failure('related_images_missing', `IIB cannot access the following related images ${list}`);
  }
}
