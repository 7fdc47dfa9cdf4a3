import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { CONFIGS_LABEL } from '../builder/image.ts';
import type { RegistryClient } from '../registry/client.ts';
import { pushSingleLayerImage } from './single-layer-image.ts';

/**
 * Pushes a file-based catalog as a fragment image, with the catalog at `/configs`, and gives its pull spec by digest.
 *
 * @param fbcDir folder with a folder for each package
 * @param ref `registry/repository:tag`
 * @throws Failure of the registry client
 */
export function pushFragmentImage(
  client: RegistryClient,
  { fbcDir, ref }: { fbcDir: string; ref: string },
): Promise<string> {
  return pushSingleLayerImage(client, {
    ref,
    labels: { [CONFIGS_LABEL]: '/configs' },
    text: 'COPY configs /configs',
    fill: (root) => cp(fbcDir, join(root, 'configs'), { recursive: true }),
  });
}
