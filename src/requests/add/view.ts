import { z } from 'zod';
import {
  BinaryImageAnswer,
  IndexImagesAnswer,
  InternalCopyAnswer,
  viewBinaryImage,
  viewIndexImages,
  viewInternalCopy,
} from '../index-block.ts';
import { parseNumbersAsWritten } from '../json.ts';
import { TextOrNull, type Viewed } from '../type.ts';
import type { AddPayload } from './payload.ts';

export const AddAnswer = z.strictObject({
  ...BinaryImageAnswer,
  ...IndexImagesAnswer,
  ...InternalCopyAnswer,
  build_tags: z.array(z.string()),
  bundle_mapping: z.record(z.string(), z.array(z.string())),
  bundles: z.array(z.string()),
  check_related_images: z.boolean().nullable(),
  deprecation_list: z.array(z.string()),
  distribution_scope: TextOrNull,
  graph_update_mode: TextOrNull,
  /** Whatever JSON the worker sent. */
  omps_operator_version: z.unknown(),
  organization: TextOrNull,
  removed_operators: z.array(z.string()),
});
export type AddAnswer = z.infer<typeof AddAnswer>;

/** The keys of an add request (rest-api.md §3.1). */
export function viewAdd({ payload, outcome, packages }: Viewed<AddPayload>): AddAnswer {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    bundle_mapping: mapping(payload.bundles, packages),
    bundles: payload.bundles,
    check_related_images: payload.check_related_images,
    deprecation_list: payload.deprecation_list,
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    graph_update_mode: payload.graph_update_mode,
    omps_operator_version: parseNumbersAsWritten(outcome.omps_operator_version ?? '{}'),
    organization: payload.organization,
    removed_operators: [],
  };
}

/** Operator package → the request's bundles of it; bundles of unknown package are left out. */
function mapping(bundles: readonly string[], packages: ReadonlyMap<string, string>): Record<string, string[]> {
  const known = bundles.filter((bundle) => packages.has(bundle));
  return Object.fromEntries(Map.groupBy(known, (bundle) => packages.get(bundle) ?? ''));
}
