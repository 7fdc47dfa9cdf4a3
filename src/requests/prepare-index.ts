import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from '../registry/client.ts';
import { parsePullSpec } from '../registry/pull-spec.ts';

/** Labels that an index image carries. */
export const VERSION_LABEL = 'com.redhat.index.delivery.version';
export const SCOPE_LABEL = 'com.redhat.index.delivery.distribution_scope';

const SCOPES = ['dev', 'stage', 'prod'] as const;
type Scope = (typeof SCOPES)[number];
/** Stands for "no base image at all" wherever a binary image is named. */
export const SCRATCH = 'scratch';

/** What an index image says of itself (request-handling.md §4). */
export interface IndexFacts {
  /** As the request names it. */
  spec: string;
  /** By digest. */
  resolved: string;
  arches: string[];
  ocpVersion: string;
  scope: string;
}

/** Everything about the image to be built that is decided before the catalog is touched. */
export interface IndexImage {
  ocpVersion: string;
  scope: Scope;
  binaryImage: string;
  binaryImageResolved: string;
  /** Sorted. */
  arches: string[];
}

/**
 * Reads digest, arches, OCP version and scope of an index, which must be named by a tag: its index.db and, in an
 * overwrite, the image itself are found by it.
 *
 * @throws Failure `index_not_mapped` when the request names none, `index_tag_missing`, and those of the registry client
 */
export async function readIndex(spec: string | null, registry: RegistryClient): Promise<IndexFacts> {
  if (spec === null) {
    throw new Failure(
      'index_not_mapped',
      'Git repository mapping not found for from_index: None. index_to_gitlab_push_map is required.',
    );
  }
  if (parsePullSpec(spec).tag === undefined) {
    throw new Failure(
      'index_tag_missing',
      `The index image ${spec} must be given by a tag: its index.db and its catalog branch are found by it`,
    );
  }
  const resolved = await registry.resolve(spec);
  const labels = await registry.labels(resolved);
  return {
    spec,
    resolved,
    arches: await registry.arches(resolved),
    ocpVersion: labels[VERSION_LABEL] || 'v4.5',
    scope: labels[SCOPE_LABEL] || 'prod',
  };
}

/**
 * Decides scope, binary image and arches (request-handling.md §4, steps 3–6).
 *
 * @param reference the index that version and scope come from
 * @param present all indexes whose arches the result must have
 * @throws Failure with the sentences of that section
 */
export async function prepareIndex({
  config,
  registry,
  reference,
  present,
  requested,
}: {
  config: Config;
  registry: RegistryClient;
  reference: IndexFacts;
  present: IndexFacts[];
  requested: { scope: string | null; binaryImage: string | null; addArches: string[] };
}): Promise<IndexImage> {
  const scope = scopeFor(requested.scope, reference.scope);
  const { ocpVersion } = reference;
  const binaryImage = binaryImageFor(config, scope, ocpVersion, requested.binaryImage);
  if (binaryImage === SCRATCH) {
    return { ocpVersion, scope, binaryImage, binaryImageResolved: SCRATCH, arches: ['amd64'] };
  }
  const binaryImageResolved = await registry.resolve(binaryImage);
  const wanted = new Set([...present.flatMap(({ arches }) => arches), ...requested.addArches]);
  const offered = new Set(await registry.arches(binaryImageResolved));
  const arches = archesFor(wanted, offered, {
    fewerAllowed: config.fewerArchesAllowed.length === 0 || config.fewerArchesAllowed.includes(binaryImage),
  });
  return { ocpVersion, scope, binaryImage, binaryImageResolved, arches };
}

function scopeFor(requested: string | null, current: string): Scope {
  const currentRank = rankOf(current);
  const rank = requested === null ? currentRank : rankOf(requested.toLowerCase());
  if (rank > currentRank) {
    throw new Failure(
      'distribution_scope_refused',
      `Cannot set "distribution_scope" to ${requested} because from index is already set to ${current}`,
    );
  }
  return SCOPES[rank] as Scope;
}

function rankOf(scope: string): number {
  const rank = SCOPES.indexOf(scope as Scope);
  if (rank >= 0) return rank;
  throw new Failure(
    'distribution_scope_refused',
    `The index image's label ${SCOPE_LABEL} is "${scope}"; it must be one of dev, stage, prod`,
  );
}

function binaryImageFor(config: Config, scope: Scope, version: string, requested: string | null): string {
  const configured = config.binaryImages[scope]?.[version];
  const image = requested ?? configured;
  if (image === undefined) {
    throw new Failure(
      'binary_image_unavailable',
      `IIB does not have a configured binary_image for distribution_scope : ${scope} and ocp_version: ${version}. Please specify a binary_image value in the request.`,
    );
  }
  if (configured !== undefined && image === SCRATCH && configured !== SCRATCH) {
    throw new Failure('binary_image_unavailable', `The index image should not be binaryless for ${version}.`);
  }
  if (configured === SCRATCH && image !== SCRATCH) {
    throw new Failure('binary_image_unavailable', `The index image must be built as a binaryless for ${version}.`);
  }
  return image;
}

function archesFor(wanted: Set<string>, offered: Set<string>, { fewerAllowed }: { fewerAllowed: boolean }): string[] {
  if (wanted.size === 0) throw new Failure('arches_unavailable', 'No arches were provided to build the index image');
  const missing = [...wanted.difference(offered)].sort();
  if (missing.length > 0 && !fewerAllowed) {
    throw new Failure(
      'arches_unavailable',
      `The binary image is not available for the following arches: ${missing.join(', ')}`,
    );
  }
  const arches = [...wanted.intersection(offered)].sort();
  if (arches.length === 0) {
    throw new Failure(
      'arches_unavailable',
      `The binary image is not available for any of the following arches: ${[...wanted].sort().join(', ')}`,
    );
  }
  return arches;
}
