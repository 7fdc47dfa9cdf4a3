import { z } from 'zod';
import { checkBuildTags, isNonEmptyString, type JsonObject, refuse } from '../checks.ts';
import { IndexBody, PackageField, SchemaTextField } from '../fields.ts';
import { checkIndexBlock, IndexBlock } from '../index-block.ts';
import { isJson } from '../json.ts';
import type { Caller, Checked } from '../type.ts';

export const AddDeprecationsPayload = IndexBlock.extend({
  operator_package: z.string(),
  /** JSON text exactly as the client sent it: the deprecation-schema route gives it back. */
  deprecation_schema: z.string(),
});
export type AddDeprecationsPayload = z.infer<typeof AddDeprecationsPayload>;

/** What clients send. */
export const AddDeprecationsBody = z.strictObject({
  ...IndexBody,
  operator_package: PackageField,
  deprecation_schema: SchemaTextField,
});

/** The checks of `POST /builds/add-deprecations` (rest-api.md §2.11). */
export function checkAddDeprecations(given: JsonObject, caller: Caller): Checked<AddDeprecationsPayload> {
  const { operator_package, deprecation_schema } = given;
  if (!isNonEmptyString(operator_package)) refuse('"operator_package" should be a non-empty string');
  if (!isNonEmptyString(deprecation_schema)) refuse('"deprecation_schema" should be a non-empty string');
  if (!isJson(deprecation_schema)) refuse('"deprecation_schema" string should be valid JSON');
  const { block, secrets, pullSpecs, body } = checkIndexBlock(
    given,
    ['deprecation_schema', 'from_index', 'operator_package'],
    [],
    caller,
  );
  return {
    payload: { ...block, build_tags: checkBuildTags(body.build_tags), operator_package, deprecation_schema },
    secrets,
    pullSpecs,
    fromIndex: block.from_index,
  };
}
