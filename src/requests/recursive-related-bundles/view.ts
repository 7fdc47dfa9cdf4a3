import type { JsonObject } from '../checks.ts';
import type { Viewed } from '../type.ts';
import type { RecursiveRelatedBundlesPayload } from './payload.ts';

/** The keys of a recursive-related-bundles request (rest-api.md §3.1). */
export function viewRecursiveRelatedBundles(request: Viewed<RecursiveRelatedBundlesPayload>): JsonObject {
  const { payload, outcome, link } = request;
  return {
    nested_bundles: link('nested-bundles'),
    organization: payload.organization,
    parent_bundle_image: payload.parent_bundle_image,
    parent_bundle_image_resolved: outcome.parent_bundle_image_resolved ?? null,
  };
}
