import semver from 'semver';
import { Failure } from '../errors/failure.ts';
import type { ChannelHead, IndexedBundle } from './index-db.ts';

/** Requested bundles, told apart by whether the index has them. */
export interface Presence {
  present: string[];
  missing: string[];
}

/**
 * Which bundles an index already has: by the same path, or by the same digest under any name (request-handling.md §10.1,
 * step 7). Order is kept.
 *
 * @param resolved pull specs by digest
 */
export function presenceOf(resolved: readonly string[], indexed: readonly Pick<IndexedBundle, 'image'>[]): Presence {
  const byDigest = indexed.map(({ image }) => image).filter((image) => image.includes('@sha256:'));
  const paths = new Set(byDigest);
  const digests = new Set(byDigest.map(digestOf));
  const isPresent = (image: string) => paths.has(image) || digests.has(digestOf(image));
  return {
    present: resolved.filter(isPresent),
    missing: resolved.filter((image) => !isPresent(image)),
  };
}

/**
 * The images of a deprecation list that the index has, as the index writes them, each once, in the order of the list
 * (request-handling.md §10.1, step 9).
 *
 * @param resolved pull specs by digest
 */
export function deprecationMatches(
  resolved: readonly string[],
  indexed: readonly Pick<IndexedBundle, 'image'>[],
): string[] {
  const images = new Set(indexed.map(({ image }) => image));
  return [...new Set(resolved)].filter((image) => images.has(image));
}

/**
 * Reduces images to deprecate to the latest of each package: opm cuts what is below it, and fails when older ones are
 * named, too. A package all of whose channel heads are to go is an exception: opm wants every one of its heads.
 * Sorted by path (request-handling.md §10.12).
 *
 * @param heads heads of the channels of the packages in question, as `channelHeadsIn` gives them
 * @throws Failure `request_invalid` naming images that the index does not have
 */
export function latestToDeprecate(
  images: readonly string[],
  indexed: readonly IndexedBundle[],
  heads: readonly ChannelHead[],
): string[] {
  const wanted = new Set(images);
  const found = indexed.filter(({ image }) => wanted.has(image));
  const known = new Set(found.map(({ image }) => image));
  const absent = [...wanted].filter((image) => !known.has(image)).sort();
  if (absent.length > 0) {
    const list = `[${absent.map((image) => `'${image}'`).join(', ')}]`;
    throw new Failure('request_invalid', `Failed to retrieve bundles by semver, missing bundle images: ${list}`);
  }
  const chosen = [...Map.groupBy(found, (bundle) => bundle.package)].flatMap(([name, bundles]) => {
    const headImages = heads.filter((head) => head.package === name).map(({ image }) => image ?? '');
    if (headImages.length > 0 && headImages.every((image) => wanted.has(image))) return headImages;
    return bundles.reduce((latest, bundle) => (isAtLeast(bundle.version, latest.version) ? bundle : latest)).image;
  });
  return [...new Set(chosen)].sort();
}

/** Versions that are none count as the lowest. */
function isAtLeast(version: string, other: string): boolean {
  const parsed = (text: string) => semver.parse(text, { loose: true }) ?? semver.parse('0.0.0-0');
  return semver.compareBuild(parsed(version) ?? '0.0.0', parsed(other) ?? '0.0.0') >= 0;
}

function digestOf(image: string): string {
  return image.split('@sha256:')[1] ?? image;
}
