import { z } from 'zod';
import type { Secrets } from '../../db/secrets.ts';
import {
  booleanIfPresent,
  byCodePoint,
  checkBinaryImage,
  checkDistributionScope,
  checkPullSpec,
  isNonEmptyString,
  type JsonObject,
  refuse,
  refuseUnknown,
  stringList,
  stringOrNone,
} from '../checks.ts';
import { BuildTagsField, GraphModeField, PullSpecField, PullSpecsField, ScopeField, TokenField } from '../fields.ts';
import { checkGraphMode } from '../graph-mode.ts';
import type { Caller, Checked } from '../type.ts';

export const MergePayload = z.strictObject({
  source_from_index: z.string(),
  target_index: z.string().nullable(),
  deprecation_list: z.array(z.string()),
  graph_update_mode: z.string().nullable(),
  overwrite_target_index: z.boolean(),
  binary_image: z.string().nullable(),
  distribution_scope: z.string().nullable(),
  build_tags: z.array(z.string()),
  ignore_bundle_ocp_version: z.boolean().nullable(),
});
export type MergePayload = z.infer<typeof MergePayload>;

/** What clients send. */
export const MergeBody = z.strictObject({
  source_from_index: PullSpecField,
  target_index: PullSpecField.nullish(),
  deprecation_list: PullSpecsField.optional(),
  graph_update_mode: GraphModeField.nullish(),
  overwrite_target_index: z.boolean().optional(),
  overwrite_target_index_token: TokenField.nullish(),
  binary_image: PullSpecField.nullish(),
  distribution_scope: ScopeField.nullish(),
  build_tags: BuildTagsField.optional(),
  ignore_bundle_ocp_version: z.boolean().nullish(),
});

const NAMES = Object.keys(MergeBody.shape);
const TARGET_TYPE = 'The "target_index" value must be a string';

/** The checks of `POST /builds/merge-index-image` (rest-api.md §2.7); names come last here (D8). */
export function checkMerge(body: JsonObject, caller: Caller): Checked<MergePayload> {
  const deprecations = stringList(
    body,
    'deprecation_list',
    'The "deprecation_list" value should be an empty array or an array of strings',
  );
  for (const spec of deprecations) checkPullSpec(spec);
  const source = body.source_from_index;
  if (!isNonEmptyString(source)) refuse('The "source_from_index" value must be a string');
  checkPullSpec(source);
  const mode = checkGraphMode(body.graph_update_mode, body.target_index, TARGET_TYPE, caller);
  const target = stringOrNone(body.target_index, TARGET_TYPE);
  if (target !== null) checkPullSpec(target);
  const overwrite = booleanIfPresent(
    body,
    'overwrite_target_index',
    'The "overwrite_target_index" value must be a boolean',
  );
  const secrets = checkToken(body.overwrite_target_index_token, overwrite === true);
  const binaryImage = checkBinaryImage(body.binary_image ?? undefined, caller.binaryImageRequired);
  const scope = checkDistributionScope(body.distribution_scope);
  const tags = stringList(
    body,
    'build_tags',
    '"build_tags" should be either an empty array or an array of non-empty strings',
  );
  const ignoreVersion = body.ignore_bundle_ocp_version ?? null;
  if (ignoreVersion !== null && typeof ignoreVersion !== 'boolean') {
    refuse('The "ignore_bundle_ocp_version" value must be a boolean');
  }
  refuseUnknown(body, NAMES);
  return {
    payload: {
      source_from_index: source,
      target_index: target,
      deprecation_list: deprecations,
      graph_update_mode: mode,
      overwrite_target_index: overwrite ?? false,
      binary_image: binaryImage,
      distribution_scope: scope,
      build_tags: tags.sort(byCodePoint),
      ignore_bundle_ocp_version: ignoreVersion,
    },
    secrets,
    pullSpecs: [source, target, binaryImage, ...deprecations].filter((spec) => spec !== null),
    fromIndex: null,
  };
}

/** The rules of token and overwriting: each needs the other, for everybody. */
function checkToken(value: unknown, overwrite: boolean): Secrets {
  const token = stringOrNone(value, 'The "overwrite_target_index_token" value must be a string');
  if (token !== null && !overwrite) {
    refuse('The "overwrite_target_index" value is required when the "overwrite_target_index_token" value is used');
  }
  if (token === null && overwrite) {
    refuse('The "overwrite_target_index_token" value is required when the "overwrite_target_index" value is set');
  }
  return token === null ? {} : { overwrite_target_index_token: token };
}
