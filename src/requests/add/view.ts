import type { JsonObject } from '../checks.ts';
import { viewBinaryImage, viewIndexImages, viewInternalCopy } from '../index-block.ts';
import { parseNumbersAsWritten } from '../json.ts';
import type { Viewed } from '../type.ts';
import type { AddPayload } from './payload.ts';

/** The keys of an add request (rest-api.md §3.1). */
export function viewAdd({ payload, outcome, packages }: Viewed<AddPayload>): JsonObject {
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
function mapping(bundles: readonly string[], packages: ReadonlyMap<string, string>): JsonObject {
  const known = bundles.filter((bundle) => packages.has(bundle));
  return Object.fromEntries(Map.groupBy(known, (bundle) => packages.get(bundle) ?? ''));
}
