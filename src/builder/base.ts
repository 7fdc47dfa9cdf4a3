import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from '../registry/client.ts';
import { type Descriptor, type Manifest, TextMap } from '../registry/manifest.ts';
import { nameOf } from '../registry/pull-spec.ts';

/** An image's configuration; what a build does not touch is carried over as it is. */
export const ImageConfiguration = z.looseObject({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().nullish(),
  config: z
    .looseObject({ Labels: TextMap })
    .nullish()
    .transform((config) => config ?? { Labels: {} }),
  rootfs: z.looseObject({ type: z.literal('layers'), diff_ids: goList(z.string()) }),
  history: goList(z.looseObject({ empty_layer: z.boolean().nullish() })),
});
export type ImageConfiguration = z.infer<typeof ImageConfiguration>;

export type BaseLayer = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;

/** What an image is built on, for one architecture. */
export interface Base {
  config: ImageConfiguration;
  /** With docker's media types, whatever the base's were. */
  layers: BaseLayer[];
  /** `registry/repository` the layers are in; null for scratch. */
  repository: string | null;
}

function goList<T extends z.ZodType>(type: T) {
  return z
    .array(type)
    .nullish()
    .transform((list) => list ?? []);
}

const DOCKER_LAYER: Record<string, string> = {
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar': 'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.oci.image.layer.v1.tar': 'application/vnd.docker.image.rootfs.diff.tar',
};

/**
 * The bases of an image for some architectures. OCI images are taken, too, their layers as docker's (the bytes are the same).
 *
 * @param spec pull spec, or `scratch`
 * @returns one per architecture, in their order
 * @throws Failure `arches_unavailable` when the image lacks one, `image_unreadable` when it has layers docker's format
 *   cannot name, and what the registry client throws
 */
export async function readBases(client: RegistryClient, spec: string, arches: readonly string[]): Promise<Base[]> {
  if (spec === 'scratch') return arches.map(emptyBase);
  const offered = await client.linuxImages(spec);
  const lacking = arches.filter((arch) => !offered.has(arch));
  if (lacking.length > 0) {
    const text = `The binary image ${spec} is not offered for ${lacking.join(', ')}; it is for ${[...offered.keys()].join(', ')}`;
    throw new Failure('arches_unavailable', text);
  }
  return Promise.all(arches.map((arch) => readBase(client, spec, offered.get(arch) ?? spec)));
}

async function readBase(client: RegistryClient, spec: string, imageSpec: string): Promise<Base> {
  const manifest = await client.manifest(imageSpec);
  const config = await configuration(client, imageSpec, manifest);
  const layers = layersOf(manifest, imageSpec).map((layer) => {
    const mediaType = DOCKER_LAYER[layer.mediaType];
    if (mediaType === undefined) {
      throw new Failure(
        'image_unreadable',
        `The binary image ${spec} has a layer of the kind ${layer.mediaType}, which is not supported`,
      );
    }
    return { mediaType, size: layer.size, digest: layer.digest };
  });
  return { config, layers, repository: nameOf(spec) };
}

function layersOf({ document }: Manifest, spec: string): Descriptor[] {
  if (document.kind !== 'image') throw new Failure('image_unreadable', `${spec} is not an image`);
  return document.layers;
}

async function configuration(
  client: RegistryClient,
  spec: string,
  { document }: Manifest,
): Promise<ImageConfiguration> {
  if (document.kind !== 'image') throw new Failure('image_unreadable', `${spec} is not an image`);
  const bytes = Buffer.concat(await (await client.blob(nameOf(spec), document.config)).toArray());
  try {
    return ImageConfiguration.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new Failure('image_unreadable', `The configuration of ${spec} is not valid`, { cause });
  }
}

function emptyBase(architecture: string): Base {
  const config = {
    architecture,
    os: 'linux',
    config: { Labels: {} },
    rootfs: { type: 'layers' as const, diff_ids: [] },
    history: [],
  };
  return { config, layers: [], repository: null };
}
