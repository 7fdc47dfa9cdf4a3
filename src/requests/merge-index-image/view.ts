import { z } from 'zod';
import { BinaryImageAnswer, viewBinaryImage } from '../index-block.ts';
import { TextOrNull, type Viewed } from '../type.ts';
import type { MergePayload } from './payload.ts';

export const MergeAnswer = z.strictObject({
  ...BinaryImageAnswer,
  build_tags: z.array(z.string()),
  deprecation_list: z.array(z.string()),
  distribution_scope: TextOrNull,
  graph_update_mode: TextOrNull,
  ignore_bundle_ocp_version: z.boolean().nullable(),
  index_image: TextOrNull,
  source_from_index: z.string(),
  source_from_index_resolved: TextOrNull,
  target_index: TextOrNull,
  target_index_resolved: TextOrNull,
});
export type MergeAnswer = z.infer<typeof MergeAnswer>;

/** The keys of a merge-index-image request (rest-api.md §3.1). */
export function viewMerge({ payload, outcome }: Viewed<MergePayload>): MergeAnswer {
  return {
    ...viewBinaryImage(payload, outcome),
    build_tags: payload.build_tags,
    deprecation_list: payload.deprecation_list,
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    graph_update_mode: payload.graph_update_mode,
    ignore_bundle_ocp_version: payload.ignore_bundle_ocp_version,
    index_image: outcome.index_image ?? null,
    source_from_index: payload.source_from_index,
    source_from_index_resolved: outcome.source_from_index_resolved ?? null,
    target_index: payload.target_index,
    target_index_resolved: outcome.target_index_resolved ?? null,
  };
}
