import { Failure } from '../errors/failure.ts';
import { notFound } from './answers.ts';
import { type ImageConfig, type ImageManifest, isListType, type ListEntry, type Manifest } from './manifest.ts';
import { distanceFromWanted, isForImage, isUsual, type Platform } from './platforms.ts';
import { withDigest } from './pull-spec.ts';

/** The reads everything here is made of. */
export interface ImageSource {
  digestOf(spec: string): Promise<string | null>;
  manifest(spec: string): Promise<Manifest>;
  /** The config of one platform's image. */
  configOf(spec: string, image: ImageManifest): Promise<ImageConfig>;
}

export interface ImageCalls {
  resolve(spec: string): Promise<string>;
  resolveBundle(spec: string): Promise<string>;
  image(spec: string): Promise<ImageManifest>;
  config(spec: string): Promise<ImageConfig>;
  arches(spec: string): Promise<string[]>;
  linuxImages(spec: string): Promise<Map<string, string>>;
  labels(spec: string): Promise<Record<string, string>>;
}

/** Manifests read for one question about a list; a list of lists of lists could ask for any number. */
const MOST_READ = 100;

/**
 * What requests ask of images. All throw Failure `image_not_found` for an image that is absent. Entries of lists that
 * are not for images (attestations) are passed over; lists in lists are looked into, as skopeo and opm do.
 *
 * - `resolve`: `name@digest`; a list's own digest (request-handling.md §3.3).
 * - `resolveBundle`: `name@digest` of the one image, of a list's first linux image. Failure `bundle_unsupported`
 *   (§3.4; OCI accepted).
 * - `image`: the manifest of one platform: of a list, linux/amd64 as skopeo and opm choose it; for want of that another
 *   variant, another architecture of linux, another system. Failure `image_unreadable`.
 * - `config`: that image's config, all of it.
 * - `arches`: of a list, those of its linux images in their order, each once. Failure `image_unreadable` (§3.5).
 * - `linuxImages`: those images by architecture, `name@digest`; of several variants the usual one, else the first.
 * - `labels`: of that one platform's image; none where there are none (§3.6).
 */
export function createImageCalls(source: ImageSource): ImageCalls {
  const { digestOf, manifest } = source;
  return { resolve, resolveBundle, image, config, arches, linuxImages, labels };

  async function resolve(spec: string): Promise<string> {
    const digest = await digestOf(spec);
    if (digest === null) throw notFound(spec);
    return withDigest(spec, digest);
  }

  async function resolveBundle(spec: string): Promise<string> {
    const { digest, mediaType, document } = await manifest(spec);
    if (document.kind === 'image') return withDigest(spec, digest);
    if (document.kind === 'list') {
      for await (const { platform, digest } of platformsIn(spec, document.manifests)) {
        if (platform.os === 'linux') return withDigest(spec, digest);
      }
      const none = document.manifests.length === 0 ? 'is empty' : 'has no image for linux';
      throw new Failure('bundle_unsupported', `The manifest list of ${spec} ${none}`);
    }
    throw new Failure(
      'bundle_unsupported',
      mediaType === ''
        ? 'mediaType not found'
        : `The pull specification of ${spec} is neither a v2 manifest list nor a v2s2 manifest. ` +
            `Type ${mediaType} and schema version ${document.schemaVersion} is not supported by IIB.`,
    );
  }

  async function image(spec: string): Promise<ImageManifest> {
    const found = await manifest(spec);
    if (isImage(found)) return found;
    if (found.document.kind !== 'list') throw neither(spec);
    let chosen: { distance: number; digest: string } | undefined;
    for await (const { platform, digest } of platformsIn(spec, found.document.manifests.toSorted(byDistance))) {
      const distance = distanceFromWanted(platform);
      if (chosen === undefined || distance < chosen.distance) chosen = { distance, digest };
      if (distance === 0) break;
    }
    const image = chosen === undefined ? undefined : await manifest(withDigest(spec, chosen.digest));
    if (image === undefined || !isImage(image)) throw neither(spec);
    return image;
  }

  async function config(spec: string): Promise<ImageConfig> {
    return source.configOf(spec, await image(spec));
  }

  async function arches(spec: string): Promise<string[]> {
    return [...(await linuxImages(spec)).keys()];
  }

  async function linuxImages(spec: string): Promise<Map<string, string>> {
    const found = await manifest(spec);
    if (isImage(found)) {
      const { architecture } = await source.configOf(spec, found);
      if (!architecture) throw new Failure('image_unreadable', `The config of ${spec} does not name an architecture`);
      return new Map([[architecture, withDigest(spec, found.digest)]]);
    }
    if (found.document.kind !== 'list') throw neither(spec);
    const usual = new Map<string, boolean>();
    const images = new Map<string, string>();
    for await (const { platform, digest } of platformsIn(spec, found.document.manifests)) {
      const { architecture, os } = platform;
      if (os !== 'linux' || architecture === '' || usual.get(architecture) === true) continue;
      if (usual.has(architecture) && !isUsual(platform)) continue;
      usual.set(architecture, isUsual(platform));
      images.set(architecture, withDigest(spec, digest));
    }
    return images;
  }

  /** The images of a list with their platforms, read where the list does not name them; of lists in it, theirs. */
  async function* platformsIn(
    spec: string,
    entries: readonly ListEntry[],
    read = { manifests: 0 },
  ): AsyncGenerator<{ platform: Platform; digest: string }> {
    for (const { platform, digest, mediaType } of entries.filter(isForImage)) {
      if (platform !== null && !isListType(mediaType)) {
        yield { platform, digest };
        continue;
      }
      read.manifests += 1;
      if (read.manifests > MOST_READ) {
        throw new Failure('image_unreadable', `The manifest list of ${spec} leads to more than ${MOST_READ} others`);
      }
      const found = await manifest(withDigest(spec, digest));
      if (isImage(found)) yield { platform: platform ?? (await ownPlatform(spec, found)), digest };
      else if (found.document.kind === 'list') yield* platformsIn(spec, found.document.manifests, read);
    }
  }

  async function ownPlatform(spec: string, found: ImageManifest): Promise<Platform> {
    const { os = 'linux', architecture = '', variant } = await source.configOf(spec, found);
    return { os, architecture, variant };
  }

  async function labels(spec: string): Promise<Record<string, string>> {
    return (await config(spec)).config.Labels;
  }
}

function byDistance(a: ListEntry, b: ListEntry): number {
  return distanceFromWanted(a.platform) - distanceFromWanted(b.platform);
}

function isImage(manifest: Manifest): manifest is ImageManifest {
  return manifest.document.kind === 'image';
}

function neither(spec: string): Failure {
  return new Failure(
    'image_unreadable',
    `The pull specification of ${spec} is neither a v2 manifest list nor a v2 manifest`,
  );
}
