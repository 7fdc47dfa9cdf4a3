import { CONFIGS_LABEL } from '../builder/image.ts';
import { allCatalogs } from '../config/catalogs.ts';
import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec, withTag } from '../registry/pull-spec.ts';
import { unknownArches } from './managed.ts';
import type { Origin } from './origin.ts';
import type { Reading } from './work.ts';

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
  /** The configured index, by tag, that it is or was made of: catalog branch and artifacts are found by it. */
  tag: string;
  /** The request that made it; null for what the configured index is now. */
  origin: Origin | null;
  /** By digest. */
  resolved: string;
  arches: string[];
  ocpVersion: string;
  scope: string;
  /** Absolute path of the catalog in the image. */
  catalogPath: string;
}

/** Everything about the image to be built that is decided before the catalog is touched. */
export interface IndexImage {
  ocpVersion: string;
  scope: Scope;
  binaryImage: string;
  binaryImageResolved: string;
  /** Sorted. */
  arches: string[];
  /** Arches that were asked for and that the binary image does not have; sorted. */
  missing: string[];
}

/**
 * Reads digest, arches, OCP version and scope of an index. It is given by its tag, or, to be changed without being
 * overwritten, by any name of an image that it is now or that a request has made of it (docs/architecture.md).
 *
 * @throws Failure `index_not_mapped` when the request names none, `index_tag_missing` for an image of unknown origin,
 *   and those of the registry client
 */
export async function readIndex(
  spec: string | null,
  reading: Pick<Reading, 'config' | 'registry' | 'originOf'>,
): Promise<IndexFacts> {
  const { registry } = reading;
  if (spec === null) {
    throw new Failure(
      'index_not_mapped',
      'Git repository mapping not found for from_index: None. index_to_gitlab_push_map is required.',
    );
  }
  const resolved = await registry.resolve(readable(spec, reading.config));
  const labels = await registry.labels(resolved);
  const ocpVersion = labels[VERSION_LABEL] || 'v4.5';
  return {
    spec,
    resolved,
    ...(await identify(spec, { resolved, ocpVersion }, reading)),
    arches: await registry.arches(resolved),
    ocpVersion,
    scope: labels[SCOPE_LABEL] || 'prod',
    catalogPath: labels[CONFIGS_LABEL] || '/configs',
  };
}

/** Which configured index an image is, or was made of. */
async function identify(
  spec: string,
  { resolved, ocpVersion }: Pick<IndexFacts, 'resolved' | 'ocpVersion'>,
  { config, registry, originOf }: Pick<Reading, 'config' | 'registry' | 'originOf'>,
): Promise<Pick<IndexFacts, 'tag' | 'origin'>> {
  const { tag, digest } = parsePullSpec(spec);
  const configured = allCatalogs(config).some(({ index }) => index === nameOf(spec));
  if (configured && tag !== undefined && digest === undefined) return { tag: spec, origin: null };
  const ownDigest = parsePullSpec(resolved).digest as string;
  if (configured) {
    // Its tags are named by OCP versions.
    const now = withTag(nameOf(spec), tag ?? ocpVersion);
    if ((await registry.digestOf(now)) === ownDigest) return { tag: now, origin: null };
  }
  const origin = await originOf(ownDigest);
  if (origin !== null) return { tag: origin.index, origin };
  // Another index by tag is told that it is not configured.
  if (!configured && tag !== undefined) return { tag: spec, origin: null };
  throw new Failure(
    'index_tag_missing',
    `The index image ${spec} must be given by a tag: no configured index has this digest now, and no request made it`,
  );
}

/** An output under its public name is read where it was put: the public name may not be there for us. */
function readable(spec: string, { registry: { output, publicOutput } }: Config): string {
  if (publicOutput === undefined || !spec.startsWith(`${publicOutput}/`)) return spec;
  return `${output}${spec.slice(publicOutput.length)}`;
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
  const unknown = unknownArches(requested.addArches);
  if (unknown !== null) throw new Failure('arches_unavailable', unknown);
  const wanted = new Set([...present.flatMap(({ arches }) => arches), ...requested.addArches]);
  const binaryImage = binaryImageFor(config, scope, ocpVersion, requested.binaryImage);
  if (binaryImage === SCRATCH) {
    const missing = requested.addArches.filter((arch) => arch !== 'amd64').sort();
    return { ocpVersion, scope, binaryImage, binaryImageResolved: SCRATCH, arches: ['amd64'], missing };
  }
  const binaryImageResolved = await registry.resolve(binaryImage);
  const offered = new Set(await registry.arches(binaryImageResolved));
  const arches = archesFor(wanted, offered, {
    fewerAllowed: config.fewerArchesAllowed.length === 0 || config.fewerArchesAllowed.includes(binaryImage),
  });
  const missing = [...wanted.difference(new Set(arches))].sort();
  return { ocpVersion, scope, binaryImage, binaryImageResolved, arches, missing };
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
