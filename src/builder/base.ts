import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { Descriptor, Manifest } from '../registry/manifest.ts';
import { nameOf, withDigest } from '../registry/pull-spec.ts';

const nullish = <T extends z.ZodType>(type: T, empty: z.output<T>) =>
  type.nullish().transform((value) => value ?? empty);

/** An image's configuration; what a build does not touch is carried over as it is. */
export const ImageConfiguration = z.looseObject({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().optional(),
  config: nullish(z.looseObject({ Labels: nullish(z.record(z.string(), z.string()), {}) }), { Labels: {} }),
  rootfs: z.looseObject({ type: z.literal('layers'), diff_ids: nullish(z.array(z.string()), []) }),
  history: nullish(z.array(z.looseObject({ empty_layer: z.boolean().optional() })), []),
});
export type ImageConfiguration = z.infer<typeof ImageConfiguration>;

/** What an image is built on, for one architecture. */
export interface Base {
  config: ImageConfiguration;
  /** With docker's media types, whatever the base's were. */
  layers: Descriptor[];
  /** `registry/repository` the layers are in; null for scratch. */
  repository: string | null;
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
  const offered = await offer(client, spec);
  const lacking = arches.filter((arch) => !offered.has(arch));
  if (lacking.length > 0) {
    const text = `The binary image ${spec} is not offered for ${lacking.join(', ')}; it is for ${[...offered.keys()].join(', ')}`;
    throw new Failure('arches_unavailable', text);
  }
  return Promise.all(arches.map((arch) => readBase(client, spec, offered.get(arch) ?? spec)));
}

/** Architecture → pull spec of its image. */
async function offer(client: RegistryClient, spec: string): Promise<Map<string, string>> {
  const manifest = await client.manifest(spec);
  if (manifest.document.kind === 'list') {
    const images = new Map<string, string>();
    for (const { platform, digest } of manifest.document.manifests) {
      // The first of an architecture's variants, as container engines without a preference take it.
      if (platform?.os !== 'linux' || images.has(platform.architecture)) continue;
      images.set(platform.architecture, withDigest(spec, digest));
    }
    return images;
  }
  const { architecture } = await configuration(client, spec, manifest);
  return new Map([[architecture, withDigest(spec, manifest.digest)]]);
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
