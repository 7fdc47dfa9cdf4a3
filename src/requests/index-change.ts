import { catalogOf } from '../config/catalogs.ts';
import type { RegistryConfig } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { artifactTagFor } from '../registry/artifact.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import type { PlannedRequest } from '../spine/plan.ts';
import type { IndexBlock } from './index-block.ts';
import { readIndex } from './prepare-index.ts';
import type { Destination, Reading } from './work.ts';

/**
 * Where a change of `index` goes: its repository by the map, the branch named by its OCP version
 * (request-handling.md §5).
 *
 * @throws Failure `index_not_mapped`, `index_tag_missing`, and those of the registry client
 */
export async function destinationOf(
  index: string | null,
  { config, registry }: Reading,
  { overwrite }: { overwrite: boolean },
): Promise<Destination> {
  if (index === null) {
    throw new Failure(
      'index_not_mapped',
      'Git repository mapping not found for from_index: None. index_to_gitlab_push_map is required.',
    );
  }
  const { tag } = parsePullSpec(index);
  if (tag === undefined) {
    throw new Failure(
      'index_tag_missing',
      `The index image ${index} must be given by a tag: its index.db and its catalog branch are found by it`,
    );
  }
  const catalog = catalogOf(config, nameOf(index), index);
  const { ocpVersion } = await readIndex(index, registry);
  return { catalog, branch: ocpVersion, overwrite };
}

/** The tag an overwriting request sends its token for. */
export function indexTokens(payload: IndexBlock, secrets: { overwrite_from_index_token?: string | undefined }) {
  const { from_index: spec } = payload;
  const { overwrite_from_index_token: token } = secrets;
  return spec === null || token === undefined ? [] : [{ spec, token }];
}

/** Output pull specs and artifact names of a request on an index (request-handling.md §7, §8). */
export function outputsOf(registry: RegistryConfig, requestId: number, buildTags: readonly string[]) {
  const named = (id: string | number) =>
    registry.pushTemplate.replaceAll('{registry}', registry.output).replaceAll('{request_id}', String(id));
  const output = named(requestId);
  return {
    output,
    publicOutput: registry.publicOutput === undefined ? output : output.replace(registry.output, registry.publicOutput),
    buildTags: buildTags.map(named),
  };
}

/** The artifact part of the plan of a request that changed the index.db of `index`. */
export function artifactOf({
  registry,
  index,
  request,
  type,
  operators,
  sharedDigest,
}: {
  registry: RegistryConfig;
  index: string;
  request: number;
  /** As upstream writes it: `add`, `rm`, `merge`, … (§8). */
  type: string;
  operators: readonly string[];
  sharedDigest: string | null;
}): NonNullable<PlannedRequest['artifact']> {
  return {
    own: artifactTagFor(registry, index, { requestId: request }),
    annotations: {
      request_id: String(request),
      request_type: type,
      ...(operators.length === 0 ? {} : { operators: operators.join(',') }),
    },
    shared: { tag: artifactTagFor(registry, index), digest: sharedDigest },
  };
}
