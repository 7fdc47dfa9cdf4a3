import { z } from 'zod';
import type { Outcome } from '../db/outcome.ts';
import type { Secrets } from '../db/secrets.ts';
import {
  checkBinaryImage,
  checkDistributionScope,
  checkNames,
  checkPullSpec,
  forbid,
  isFalsy,
  isStringList,
  type JsonObject,
  refuse,
} from './checks.ts';
import { type Caller, TextOrNull } from './type.ts';

/** What every request about an index image stores; the last two are for the worker alone and never shown. */
export const IndexBlock = z.strictObject({
  from_index: z.string().nullable(),
  binary_image: z.string().nullable(),
  distribution_scope: z.string().nullable(),
  build_tags: z.array(z.string()),
  add_arches: z.array(z.string()),
  overwrite_from_index: z.boolean(),
});
export type IndexBlock = z.infer<typeof IndexBlock>;

const ALWAYS = [
  'add_arches',
  'binary_image',
  'overwrite_from_index',
  'overwrite_from_index_token',
  'distribution_scope',
  'build_tags',
] as const;

interface CheckedBlock {
  /** All of the block but the build tags, whose check comes last of all (rest-api.md D14). */
  block: Omit<IndexBlock, 'build_tags'>;
  secrets: Secrets;
  pullSpecs: string[];
  /** The body without its empty optional parameters. */
  body: JsonObject;
}

/** X(required; optional), the index-image block of rest-api.md §2.2. */
export function checkIndexBlock(
  given: JsonObject,
  required: readonly string[],
  optional: readonly string[],
  caller: Caller,
): CheckedBlock {
  const body = checkNames(given, required, [...optional, ...ALWAYS]);
  if (isFalsy(body.from_index) && isFalsy(body.add_arches)) {
    refuse('One of "from_index" or "add_arches" must be specified');
  }
  const overwrite = body.overwrite_from_index ?? false;
  if (typeof overwrite !== 'boolean') refuse('The "overwrite_from_index" parameter must be a boolean');
  const token = isFalsy(body.overwrite_from_index_token) ? undefined : body.overwrite_from_index_token;
  if (token !== undefined && typeof token !== 'string') {
    refuse('The "overwrite_from_index_token" parameter must be a string');
  }
  if (token !== undefined && !overwrite) {
    refuse('The "overwrite_from_index" parameter is required when the "overwrite_from_index_token" parameter is used');
  }
  const scope = checkDistributionScope(body.distribution_scope);
  if (overwrite && token === undefined && caller.user !== null) {
    forbid('You must set "overwrite_from_index_token" to use "overwrite_from_index"');
  }
  const arches = body.add_arches ?? [];
  if (!isStringList(arches)) refuse('Architectures should be specified as a non-empty array of strings');
  const binaryImage = checkBinaryImage(body.binary_image, caller.binaryImageRequired);
  const fromIndex = body.from_index ?? null;
  if (fromIndex !== null && typeof fromIndex !== 'string') refuse('"from_index" must be a string');
  if (fromIndex !== null) checkPullSpec(fromIndex);
  return {
    block: {
      from_index: fromIndex,
      binary_image: binaryImage,
      distribution_scope: scope,
      add_arches: arches,
      overwrite_from_index: overwrite,
    },
    secrets: token === undefined ? {} : { overwrite_from_index_token: token },
    pullSpecs: [fromIndex, binaryImage].filter((spec) => spec !== null),
    body,
  };
}

export const BinaryImageAnswer = { binary_image: TextOrNull, binary_image_resolved: TextOrNull };

/** The answer's keys of the binary image: the effective one once the worker has named it. */
export function viewBinaryImage(payload: { binary_image: string | null }, outcome: Outcome) {
  return {
    binary_image: outcome.binary_image ?? payload.binary_image,
    binary_image_resolved: outcome.binary_image_resolved ?? null,
  };
}

export const IndexImagesAnswer = {
  from_index: TextOrNull,
  from_index_resolved: TextOrNull,
  index_image: TextOrNull,
  index_image_resolved: TextOrNull,
};

/** The answer's keys of the index a request starts from and of the image made from it (rest-api.md §3.4). */
export function viewIndexImages(payload: { from_index: string | null }, outcome: Outcome) {
  return {
    from_index: payload.from_index,
    from_index_resolved: outcome.from_index_resolved ?? null,
    index_image: outcome.index_image ?? null,
    index_image_resolved: outcome.index_image_resolved ?? null,
  };
}

export const InternalCopyAnswer = {
  internal_index_image_copy: TextOrNull,
  internal_index_image_copy_resolved: TextOrNull,
};

/** The answer's keys of the build under the service's own registry name. */
export function viewInternalCopy(outcome: Outcome) {
  return {
    internal_index_image_copy: outcome.internal_index_image_copy ?? null,
    internal_index_image_copy_resolved: outcome.internal_index_image_copy_resolved ?? null,
  };
}

/** Outcome keys of all types that change an existing index and have an internal copy. */
export const INDEX_OUTCOME = [
  'binary_image',
  'binary_image_resolved',
  'distribution_scope',
  'from_index_resolved',
  'index_image',
  'index_image_resolved',
  'internal_index_image_copy',
  'internal_index_image_copy_resolved',
] as const satisfies readonly (keyof Outcome)[];
