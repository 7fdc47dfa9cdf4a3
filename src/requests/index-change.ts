import type { PackageChange } from '../catalog/changes.ts';
import { indexMetadata } from '../catalog/metadata.ts';
import type { Opm } from '../catalog/opm.ts';
import { catalogOf } from '../config/catalogs.ts';
import { Failure } from '../errors/failure.ts';
import { artifactTagFor } from '../registry/artifact.ts';
import { outputNamed, outputsTagged } from '../registry/output.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import type { PlannedRequest } from '../spine/plan.ts';
import type { IndexBlock } from './index-block.ts';
import { type IndexFacts, type IndexImage, prepareIndex } from './prepare-index.ts';
import type { Changed, Destination, IndexDb, Reading, Workshop } from './work.ts';

/**
 * Where a change of `index` goes: its repository by the map, the branch named by its OCP version
 * (request-handling.md §5).
 *
 * @throws Failure `index_not_mapped`; `index_tag_missing` when it is to be overwritten and not given by its tag
 */
export function destinationOf(
  index: IndexFacts,
  { config }: Pick<Reading, 'config'>,
  { overwrite }: { overwrite: boolean },
): Destination {
  const destination = {
    catalog: catalogOf(config, nameOf(index.tag), index.spec),
    branch: index.ocpVersion,
    overwrite,
  };
  if (overwrite && index.tag !== index.spec) {
    throw new Failure(
      'index_tag_missing',
      `To overwrite the index ${index.tag}, give it by this tag, not as ${index.spec}`,
    );
  }
  const { origin, resolved, catalogPath } = index;
  if (origin === null) return destination;
  return { ...destination, content: { image: resolved, path: catalogPath, request: origin.request } };
}

/** The index that a request overwrites; null when it only builds. */
export function overwrittenIndex(payload: Pick<IndexBlock, 'from_index' | 'overwrite_from_index'>): string | null {
  return payload.overwrite_from_index ? payload.from_index : null;
}

/** The tag an overwriting request sends its token for. */
export function indexTokens(payload: IndexBlock, secrets: { overwrite_from_index_token?: string | undefined }) {
  const { from_index: spec } = payload;
  const { overwrite_from_index_token: token } = secrets;
  return spec === null || token === undefined ? [] : [{ spec, token }];
}

/** What is known about the image before the catalog is touched, and the opm its OCP version asks for. */
export interface DecidedImage extends IndexImage {
  opm: Opm;
}

/**
 * Decides scope, binary image, arches and opm, records them with what was `learned` before, and tells the arches
 * (request-handling.md §4, steps 3 to 6, and §4.1).
 *
 * @throws Failure with the sentences of that section; `opm_missing`
 */
export async function decideImage(
  shop: Workshop,
  {
    learned,
    ...asked
  }: Omit<Parameters<typeof prepareIndex>[0], 'config' | 'registry'> & { learned: Parameters<Workshop['record']>[0] },
): Promise<DecidedImage> {
  const image = await prepareIndex({ config: shop.config, registry: shop.registry, ...asked });
  const opm = await shop.opmFor(image.ocpVersion);
  await shop.record({
    binary_image: image.binaryImage,
    binary_image_resolved: image.binaryImageResolved,
    distribution_scope: image.scope,
    ...learned,
  });
  const without =
    image.missing.length === 0 ? '' : ` (not for ${image.missing.join(', ')}, which the binary image does not have)`;
  await shop.report(`Building the index image for the following arches: ${image.arches.join(', ')}${without}`);
  return { ...image, opm };
}

/** Of the finished image, what most types record and what the others do (request-handling.md §7). */
export const RECORDS = {
  all: {
    arches: 'arches',
    index_image: 'image',
    index_image_resolved: 'image_resolved',
    internal_index_image_copy: 'copy',
    internal_index_image_copy_resolved: 'copy_resolved',
  },
  imageAlone: { arches: 'arches', index_image: 'image' },
} as const satisfies Record<string, PlannedRequest['records']>;

/** A changed index as its type describes it. */
export interface IndexChange {
  request: number;
  /** The index that is changed, and in an overwrite replaced. */
  index: IndexFacts;
  destination: Destination;
  image: DecidedImage;
  commit: { subject: string; body: string };
  packages: PackageChange[];
  /** The changed database. */
  indexDb: string;
  /** The artifact that `index` shares, as it was read. */
  shared: IndexDb['from'];
  artifact: {
    /** As upstream writes it: `add`, `rm`, `merge`, … (§8). */
    type: string;
    operators: readonly string[];
  };
  buildTags: readonly string[];
  /** Labels of the image besides the two that are always there; they win over those. */
  labels?: Readonly<Record<string, string>>;
  failurePrefix: string;
  /** State reason of success. */
  done: string;
  records: keyof typeof RECORDS;
}

/** Everything the delivery needs of a changed index (request-handling.md §5.1, §7, §8). */
export function changedIndex({ config }: Pick<Reading, 'config'>, change: IndexChange): Changed {
  const { request, index, destination, image, shared } = change;
  return {
    destination,
    arches: image.arches,
    commit: change.commit,
    metadata: indexMetadata({
      requestId: request,
      opm: image.opm,
      ocpVersion: image.ocpVersion,
      scope: image.scope,
      binaryImage: image.binaryImageResolved,
      arches: image.arches,
      ...(change.labels === undefined ? {} : { labels: change.labels }),
    }),
    packages: change.packages,
    indexDb: change.indexDb,
    planned: {
      id: request,
      failurePrefix: change.failurePrefix,
      done: change.done,
      ...outputsOf(config, request, change.buildTags),
      index: index.tag,
      overwrites: destination.overwrite
        ? { tag: index.tag, digest: parsePullSpec(index.resolved).digest as string }
        : null,
      artifact: {
        own: artifactTagFor(config.registry, index.tag, { requestId: request }),
        annotations: {
          request_id: String(request),
          request_type: change.artifact.type,
          ...(change.artifact.operators.length === 0 ? {} : { operators: change.artifact.operators.join(',') }),
        },
        shared,
      },
      records: RECORDS[change.records],
    },
  };
}

/**
 * Output pull specs of a request (request-handling.md §7). What a client has named them by is looked at here, and not
 * when they are written: by then the change would be merged. The API refuses the same, but rows may be older than that.
 *
 * @throws Failure `pull_spec_invalid`, `build_tag_refused`
 */
export function outputsOf(config: Reading['config'], requestId: number, buildTags: readonly string[]) {
  const { output: registry, publicOutput } = config.registry;
  const output = outputNamed(config.registry, requestId);
  return {
    output,
    publicOutput: publicOutput === undefined ? output : output.replace(registry, publicOutput),
    buildTags: outputsTagged(config, buildTags),
  };
}
