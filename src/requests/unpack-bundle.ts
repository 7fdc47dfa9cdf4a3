import { join } from 'node:path';
import { extractDirectories } from '../registry/layers.ts';
import type { Desk } from './work.ts';

/** What a bundle image consists of: folders at the root of the image. */
export const BUNDLE_FOLDERS = ['manifests', 'metadata'] as const;

/**
 * Brings manifests and metadata of a bundle image into a folder, in one pass over its layers (request-handling.md §3.7).
 *
 * @param image by digest
 * @throws Failure `image_directory_missing`, `image_unreadable`, and those of the registry client
 */
export async function unpackBundle({ registry }: Pick<Desk, 'registry'>, image: string, to: string): Promise<void> {
  const directories = Object.fromEntries(BUNDLE_FOLDERS.map((name) => [`/${name}`, join(to, name)]));
  await extractDirectories({ client: registry, image, directories });
}
