import { z } from 'zod';
import {
  booleanIfPresent,
  checkBuildTags,
  checkPullSpec,
  isFalsy,
  type JsonObject,
  refuse,
  stringIfPresent,
  stringList,
  without,
} from '../checks.ts';
import { GraphModeField, IndexBody, OrganizationField, PullSpecsField, TokenField } from '../fields.ts';
import { checkGraphMode } from '../graph-mode.ts';
import { checkIndexBlock, IndexBlock } from '../index-block.ts';
import type { Caller, Checked } from '../type.ts';

export const AddPayload = IndexBlock.extend({
  bundles: z.array(z.string()),
  deprecation_list: z.array(z.string()),
  check_related_images: z.boolean().nullable(),
  graph_update_mode: z.string().nullable(),
  organization: z.string().nullable(),
});
export type AddPayload = z.infer<typeof AddPayload>;

/** What clients send. */
export const AddBody = z.strictObject({
  ...IndexBody,
  bundles: PullSpecsField.optional(),
  deprecation_list: PullSpecsField.optional(),
  check_related_images: z.boolean().optional(),
  graph_update_mode: GraphModeField.optional(),
  organization: OrganizationField.optional(),
  /** Checked and dropped: a secret of a service that is gone (D12). */
  cnr_token: TokenField.optional(),
  /** Checked and dropped. */
  force_backport: z.boolean().optional(),
});

/** The checks of `POST /builds/add` (rest-api.md §2.3). */
export function checkAdd(body: JsonObject, caller: Caller): Checked<AddPayload> {
  if (isFalsy(body.from_index)) refuse('The input "from_index" is required.');
  return checkAddMember(body, caller);
}

/** The same for a member of a batch, which may leave the index out (rest-api.md §2.6). */
export function checkAddMember(given: JsonObject, caller: Caller): Checked<AddPayload> {
  const bundles = stringList(
    given,
    'bundles',
    '"bundles" should be either an empty array or an array of non-empty strings',
  );
  const deprecations = stringList(
    given,
    'deprecation_list',
    '"deprecation_list" should be either an empty array or an array of non-empty strings',
  );
  if (!isFalsy(given.check_related_images) && bundles.length === 0) {
    refuse('"check_related_images" must be specified only when bundles are specified');
  }
  const related = booleanIfPresent(
    given,
    'check_related_images',
    'The "check_related_images" parameter must be a boolean',
  );
  // Checked and dropped: a secret of a service that is gone (D12).
  stringIfPresent(given, 'cnr_token', '"cnr_token" must be a string');
  const mode = stringIfPresent(given, 'graph_update_mode', '"graph_update_mode" must be a string');
  checkGraphMode(mode, given.from_index, '"from_index" must be a string', caller);
  const organization = stringIfPresent(given, 'organization', '"organization" must be a string');
  booleanIfPresent(given, 'force_backport', '"force_backport" must be a boolean');

  const { block, secrets, pullSpecs, body } = checkIndexBlock(
    without(given, ['cnr_token', 'force_backport']),
    [],
    ['from_index', 'organization', 'bundles', 'deprecation_list', 'graph_update_mode', 'check_related_images'],
    caller,
  );
  for (const spec of [...bundles, ...deprecations]) checkPullSpec(spec);
  return {
    payload: {
      ...block,
      build_tags: checkBuildTags(body.build_tags),
      bundles,
      deprecation_list: deprecations,
      check_related_images: related,
      graph_update_mode: mode,
      organization,
    },
    secrets,
    pullSpecs: [...pullSpecs, ...bundles, ...deprecations],
    fromIndex: block.from_index,
  };
}
