import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { readAnnotations } from '../bundle/annotations.ts';
import { MANIFESTS_LABEL, METADATA_LABEL } from '../bundle/labels.ts';
import type { RegistryClient } from '../registry/client.ts';
import { pushSingleLayerImage } from './single-layer-image.ts';

/**
 * Pushes an unpacked bundle as an image with the labels of its annotations, and gives its pull spec by digest.
 *
 * @param bundleDir folder with `manifests/` and `metadata/`
 * @param ref `registry/repository:tag`
 * @throws Failure `bundle_unsupported` when it has no annotations, and those of the registry client
 */
export async function pushBundleImage(
  client: RegistryClient,
  { bundleDir, ref, labels = {} }: { bundleDir: string; ref: string; labels?: Record<string, string> },
): Promise<string> {
  const { annotations } = await readAnnotations(bundleDir);
  const text = Object.entries(annotations).map(([name, value]) => [name, String(value)]);
  return pushSingleLayerImage(client, {
    ref,
    labels: { [MANIFESTS_LABEL]: 'manifests/', [METADATA_LABEL]: 'metadata/', ...Object.fromEntries(text), ...labels },
    text: 'COPY bundle /',
    fill: async (root) => {
      for (const part of ['manifests', 'metadata']) {
        await cp(join(bundleDir, part), join(root, part), { recursive: true });
      }
    },
  });
}
