import { z } from 'zod';
import {
  checkBuildTags,
  checkNames,
  checkPullSpec,
  distinct,
  isStringList,
  type JsonObject,
  refuse,
  without,
} from '../checks.ts';
import { IndexBody, PullSpecField, PullSpecsField } from '../fields.ts';
import { checkIndexBlock, IndexBlock } from '../index-block.ts';
import type { Caller, Checked } from '../type.ts';

export const FbcOperationsPayload = IndexBlock.extend({
  /** All fragments, whichever form the client used. */
  fbc_fragments: z.array(z.string()),
  /** The fragment of a request in the single form; null in the array form (rest-api.md §3.5). */
  fbc_fragment: z.string().nullable(),
});
export type FbcOperationsPayload = z.infer<typeof FbcOperationsPayload>;

/** What clients send. */
export const FbcOperationsBody = z.strictObject({
  ...IndexBody,
  /** One of both. */
  fbc_fragments: PullSpecsField.nullish(),
  fbc_fragment: PullSpecField.nullish(),
});

const NAMES = [
  'add_arches',
  'binary_image',
  'distribution_scope',
  'build_tags',
  'overwrite_from_index',
  'overwrite_from_index_token',
];

/** The checks of `POST /builds/fbc-operations` (rest-api.md §2.10). */
export function checkFbcOperations(body: JsonObject, caller: Caller): Checked<FbcOperationsPayload> {
  const single = body.fbc_fragment ?? null;
  const several = body.fbc_fragments ?? null;
  if (single !== null && several !== null) {
    refuse('Cannot provide both "fbc_fragment" and "fbc_fragments" parameters');
  }
  if (single !== null && typeof single !== 'string') refuse('"fbc_fragment" must be a string');
  if (single === null && several === null) {
    refuse('Either "fbc_fragment" or "fbc_fragments" must be provided');
  }
  const unified = single === null ? body : { ...without(body, ['fbc_fragment']), fbc_fragments: [single] };
  const named = checkNames(unified, ['fbc_fragments', 'from_index'], NAMES);
  const fragments = named.fbc_fragments;
  if (!isStringList(fragments)) {
    refuse('"fbc_fragments" should be either an empty array or an array of non-empty strings');
  }
  const checked = checkIndexBlock(named, [], ['fbc_fragments', 'from_index'], caller);
  for (const fragment of fragments) checkPullSpec(fragment);
  return {
    payload: {
      ...checked.block,
      build_tags: checkBuildTags(checked.body.build_tags),
      fbc_fragments: distinct(fragments),
      fbc_fragment: single,
    },
    secrets: checked.secrets,
    pullSpecs: [...checked.pullSpecs, ...fragments],
    fromIndex: checked.block.from_index,
  };
}
