import { z } from 'zod';
import { checkBuildTags, distinct, isFalsy, isStringList, type JsonObject, refuse } from '../checks.ts';
import { IndexBody, PackagesField } from '../fields.ts';
import { checkIndexBlock, IndexBlock } from '../index-block.ts';
import type { Caller, Checked } from '../type.ts';

export const RmPayload = IndexBlock.extend({ operators: z.array(z.string()) });
export type RmPayload = z.infer<typeof RmPayload>;

/** What clients send. */
export const RmBody = z.strictObject({ ...IndexBody, operators: PackagesField });

/** The checks of `POST /builds/rm` (rest-api.md §2.4). */
export function checkRm(given: JsonObject, caller: Caller): Checked<RmPayload> {
  const operators = given.operators;
  if (isFalsy(operators) || !isStringList(operators)) refuse('"operators" should be a non-empty array of strings');
  const { block, secrets, pullSpecs, body } = checkIndexBlock(given, ['operators', 'from_index'], [], caller);
  return {
    payload: { ...block, build_tags: checkBuildTags(body.build_tags), operators: distinct(operators) },
    secrets,
    pullSpecs,
    fromIndex: block.from_index,
  };
}
