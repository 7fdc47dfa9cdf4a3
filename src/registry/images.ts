import { Failure } from '../errors/failure.ts';
import { notFound } from './answers.ts';
import { type ImageConfig, type ImageManifest, type Manifest, preferredEntry } from './manifest.ts';
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
  labels(spec: string): Promise<Record<string, string>>;
}

/**
 * What requests ask of images. All throw Failure `image_not_found` for an image that is absent.
 *
 * - `resolve`: `name@digest`; a list's own digest (request-handling.md §3.3).
 * - `resolveBundle`: `name@digest` of the one image, of a list's first entry. Failure `bundle_unsupported` (§3.4; OCI accepted).
 * - `image`: the manifest of one platform: of a list, linux/amd64 or else the first. Failure `image_unreadable`.
 * - `config`: that image's config, all of it.
 * - `arches`: of a list, those of its entries in their order, each once. Failure `image_unreadable` (§3.5).
 * - `labels`: of that one platform's image; none where there are none (§3.6).
 */
export function createImageCalls(source: ImageSource): ImageCalls {
  const { digestOf, manifest } = source;
  return { resolve, resolveBundle, image, config, arches, labels };

  async function resolve(spec: string): Promise<string> {
    const digest = await digestOf(spec);
    if (digest === null) throw notFound(spec);
    return withDigest(spec, digest);
  }

  async function resolveBundle(spec: string): Promise<string> {
    const { digest, mediaType, document } = await manifest(spec);
    if (document.kind === 'image') return withDigest(spec, digest);
    const first = document.kind === 'list' ? document.manifests[0] : undefined;
    if (first !== undefined) return withDigest(spec, first.digest);
    if (document.kind === 'list') throw new Failure('bundle_unsupported', `The manifest list of ${spec} is empty`);
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
    const entry = found.document.kind === 'list' ? preferredEntry(found.document.manifests) : undefined;
    const chosen = entry === undefined ? undefined : await manifest(withDigest(spec, entry.digest));
    if (chosen === undefined || !isImage(chosen)) throw neither(spec);
    return chosen;
  }

  async function config(spec: string): Promise<ImageConfig> {
    return source.configOf(spec, await image(spec));
  }

  async function arches(spec: string): Promise<string[]> {
    const found = await manifest(spec);
    if (isImage(found)) {
      const { architecture } = await source.configOf(spec, found);
      if (!architecture) throw new Failure('image_unreadable', `The config of ${spec} does not name an architecture`);
      return [architecture];
    }
    if (found.document.kind !== 'list') throw neither(spec);
    const named = found.document.manifests.flatMap(({ platform }) => platform?.architecture ?? []);
    // Build attestations stand in lists as images of the architecture `unknown`.
    return [...new Set(named)].filter((architecture) => architecture !== 'unknown');
  }

  async function labels(spec: string): Promise<Record<string, string>> {
    return (await config(spec)).config?.Labels ?? {};
  }
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
