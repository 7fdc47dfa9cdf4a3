import type { JsonObject } from '../checks.ts';
import { viewBinaryImage, viewIndexImages, viewInternalCopy } from '../index-block.ts';
import type { Viewed } from '../type.ts';
import type { RmPayload } from './payload.ts';

/** The keys of an rm request (rest-api.md §3.1); those it shares with add alone are empty. */
export function viewRm({ payload, outcome }: Viewed<RmPayload>): JsonObject {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    bundle_mapping: {},
    bundles: [],
    deprecation_list: [],
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    organization: null,
    removed_operators: payload.operators,
  };
}
