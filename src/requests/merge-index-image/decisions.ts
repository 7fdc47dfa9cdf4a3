import type { IndexedBundle } from '../../catalog/index-db.ts';
import { Failure } from '../../errors/failure.ts';

/** Bundles each once by their path, in their order. */
export function uniqueByPath<T extends { image: string }>(bundles: readonly T[]): T[] {
  return [...Map.groupBy(bundles, ({ image }) => image).values()].map(([first]) => first as T);
}

/**
 * The bundles of the target that the source has neither by digest nor by CSV name, in the target's order
 * (request-handling.md §10.10).
 *
 * @throws Failure `bundle_unsupported` for a bundle that is not given by digest
 */
export function missingBundles(source: readonly IndexedBundle[], target: readonly IndexedBundle[]): IndexedBundle[] {
  const digests = new Set(source.map(({ image }) => digestIn(image, 'source')));
  const names = new Set(source.map(({ name }) => name));
  return target.filter(({ image, name }) => !digests.has(digestIn(image, 'target')) && !names.has(name));
}

function digestIn(image: string, index: 'source' | 'target'): string {
  const digest = image.split('@sha256:')[1];
  if (digest !== undefined) return digest;
  throw new Failure('bundle_unsupported', `Bundle ${image} in the ${index} index image is not defined via digest`);
}

/** Who asks to ignore a missing OCP version label, and on which indexes. */
export interface LabelWaiver {
  asked: boolean | null;
  user: string | null;
  /** Pull specs of source and target, as given and by digest. */
  indexes: readonly string[];
}

/**
 * Whether bundles without an OCP version label count as fit (request-handling.md §10.10, step 3).
 *
 * @param allowed prefixes of indexes and names of users, from the configuration
 */
export function mayLackLabel({ asked, user, indexes }: LabelWaiver, allowed: readonly string[]): boolean {
  if (!asked) return false;
  return allowed.some((entry) => entry === user || indexes.some((index) => index.startsWith(entry)));
}
