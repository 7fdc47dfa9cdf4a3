import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { RegistryClient } from '../registry/client.ts';
import { parsePullSpec } from '../registry/pull-spec.ts';
import type { Base, BaseLayer } from './base.ts';
import type { Document, Image } from './image.ts';
import type { Layer } from './layer.ts';

export interface Push {
  /** `registry/repository` */
  repository: string;
  tags: readonly string[];
  bases: readonly Base[];
  layers: readonly Layer[];
  images: readonly Image[];
  list: Document;
  /** Directory for layers on their way from another registry. */
  scratch: string;
}

/**
 * Pushes images and points the tags at their list, last: a tag never shows an image that is not whole. May be repeated.
 * Throws what the registry client throws.
 */
export async function pushImages(client: RegistryClient, push: Push): Promise<void> {
  const { repository } = push;
  await Promise.all([
    ...push.layers.map(({ file, digest, size }) => client.uploadBlob(repository, { digest, size, path: file })),
    ...push.images.map(({ config }) => client.uploadBlob(repository, config)),
    ...foreignLayers(push.bases).map(({ layer, from }) => bringLayer(client, layer, from, push)),
  ]);
  await Promise.all(
    push.images.map(({ manifest }) =>
      client.putManifest(repository, manifest.digest, manifest.mediaType, manifest.bytes),
    ),
  );
  for (const tag of push.tags) await client.putManifest(repository, tag, push.list.mediaType, push.list.bytes);
}

/** The bases' layers, each once: architectures may share some. */
function foreignLayers(bases: readonly Base[]): { layer: BaseLayer; from: string }[] {
  const all = bases.flatMap(({ layers, repository }) =>
    repository === null ? [] : layers.map((layer) => ({ layer, from: repository })),
  );
  return [...new Map(all.map((entry) => [entry.layer.digest, entry])).values()];
}

/** Makes a base's layer known to the repository: mounted where the registry can, else copied. */
async function bringLayer(client: RegistryClient, layer: BaseLayer, from: string, { repository, scratch }: Push) {
  const { digest, size } = layer;
  if (from === repository || (await client.hasBlob(repository, digest))) return;
  const sameRegistry = parsePullSpec(from).registry === parsePullSpec(repository).registry;
  if (sameRegistry && (await client.mountBlob(repository, digest, from)) === 'mounted') return;
  const dir = await mkdtemp(join(scratch, 'layer-'));
  try {
    const path = join(dir, 'blob');
    await pipeline(await client.blob(from, { digest, size }), createWriteStream(path));
    await client.uploadBlob(repository, { digest, size, path });
  } finally {
    await rm(dir, { recursive: true });
  }
}
