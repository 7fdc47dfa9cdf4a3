import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { refuse } from './checks.ts';

/** The architectures of Linux images, as Go and so image lists name them. */
const KNOWN_ARCHES: ReadonlySet<string> = new Set([
  '386',
  'amd64',
  'arm',
  'arm64',
  'loong64',
  'mips',
  'mips64',
  'mips64le',
  'mipsle',
  'ppc64',
  'ppc64le',
  'riscv64',
  's390x',
]);

/** What the service knows of the indexes in its configuration. */
export interface ManagedIndexes {
  /** Whether a request that names this index could be carried out. @param spec as the client wrote it */
  has(spec: string): boolean;
  /** @throws Failure `build_tag_refused` */
  checkBuildTags(tags: readonly string[]): void;
}

/** What of a checked payload is looked at here; types without a key have nothing to be refused for. */
const Named = z.looseObject({
  from_index: z.string().nullish(),
  source_from_index: z.string().nullish(),
  target_index: z.string().nullish(),
  build_tags: z.array(z.string()).default([]),
  add_arches: z.array(z.string()).default([]),
});

/**
 * Refuses build tags and architectures that could not be carried out, or would move what others own. IIB takes any text;
 * so does this service where the index is none of its own, because that request fails before it writes anything.
 *
 * @throws Failure `request_invalid`
 */
export function refuseUnmanageable(payload: unknown, managed: ManagedIndexes | undefined): void {
  if (managed === undefined) return;
  const { from_index, source_from_index, target_index, build_tags, add_arches } = Named.parse(payload);
  if (build_tags.length === 0 && add_arches.length === 0) return;
  if (![from_index, source_from_index, target_index].some((spec) => spec != null && managed.has(spec))) return;
  const unknown = unknownArches(add_arches);
  if (unknown !== null) refuse(unknown);
  try {
    managed.checkBuildTags(build_tags);
  } catch (thrown) {
    if (thrown instanceof Failure && thrown.code === 'build_tag_refused') refuse(thrown.message);
    throw thrown;
  }
}

/** Why architectures cannot be built for; null when all are known. */
export function unknownArches(arches: readonly string[]): string | null {
  const unknown = arches.filter((arch) => !KNOWN_ARCHES.has(arch));
  if (unknown.length === 0) return null;
  return `"add_arches" has unknown architectures: ${unknown.join(', ')}. Known are ${[...KNOWN_ARCHES].join(', ')}.`;
}
