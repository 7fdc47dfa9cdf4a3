import { z } from 'zod';
import { has, isFalsy, isNonEmptyString, type JsonObject, refuse, stringMap, without } from '../checks.ts';
import { IndexBody, LabelsField, PullSpecField } from '../fields.ts';
import { checkIndexBlock } from '../index-block.ts';
import { type Caller, type Checked, StringMap } from '../type.ts';

export const CreateEmptyIndexPayload = z.strictObject({
  from_index: z.string(),
  binary_image: z.string().nullable(),
  distribution_scope: z.string().nullable(),
  labels: StringMap.nullable(),
});
export type CreateEmptyIndexPayload = z.infer<typeof CreateEmptyIndexPayload>;

/** What clients send. */
export const CreateEmptyIndexBody = z.strictObject({
  from_index: PullSpecField,
  binary_image: IndexBody.binary_image,
  distribution_scope: IndexBody.distribution_scope,
  labels: LabelsField.nullish(),
  /** Accepted and ignored. */
  output_fbc: z.boolean().nullish(),
});

/** Parameters of its relatives that this type has not: their mere presence is an error. */
const FOREIGN = ['add_arches', 'overwrite_from_index', 'overwrite_from_index_token', 'build_tags'];

/** The checks of `POST /builds/create-empty-index` (rest-api.md §2.8). */
export function checkCreateEmptyIndex(given: JsonObject, caller: Caller): Checked<CreateEmptyIndexPayload> {
  const fromIndex = given.from_index ?? null;
  if (fromIndex === null) refuse('"from_index" must be a specified');
  if (!isNonEmptyString(fromIndex)) refuse('"from_index" must be a non-empty string');
  if (!isFalsy(given.output_fbc) && typeof given.output_fbc !== 'boolean') refuse('"output_fbc" should be boolean');
  const labels = (given.labels ?? null) === null ? null : stringMap(given.labels, 'labels');
  for (const name of FOREIGN) {
    if (has(given, name)) refuse(`The "${name}" arg is invalid for the create-empty-index endpoint.`);
  }
  // output_fbc is accepted and ignored; empty labels count as none.
  const { block, secrets, pullSpecs } = checkIndexBlock(
    without(given, ['output_fbc']),
    ['from_index'],
    ['labels'],
    caller,
  );
  return {
    payload: {
      from_index: fromIndex,
      binary_image: block.binary_image,
      distribution_scope: block.distribution_scope,
      labels: isFalsy(labels) ? null : labels,
    },
    secrets,
    pullSpecs,
    fromIndex,
  };
}
