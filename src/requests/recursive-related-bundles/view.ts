import { z } from 'zod';
import { Link, TextOrNull, type Viewed } from '../type.ts';
import type { RecursiveRelatedBundlesPayload } from './payload.ts';

export const RecursiveRelatedBundlesAnswer = z.strictObject({
  nested_bundles: Link,
  organization: TextOrNull,
  parent_bundle_image: z.string(),
  parent_bundle_image_resolved: TextOrNull,
});
export type RecursiveRelatedBundlesAnswer = z.infer<typeof RecursiveRelatedBundlesAnswer>;

/** The keys of a recursive-related-bundles request (rest-api.md §3.1). */
export function viewRecursiveRelatedBundles(
  request: Viewed<RecursiveRelatedBundlesPayload>,
): RecursiveRelatedBundlesAnswer {
  const { payload, outcome, links } = request;
  return {
    nested_bundles: links.nestedBundles,
    organization: payload.organization,
    parent_bundle_image: payload.parent_bundle_image,
    parent_bundle_image_resolved: outcome.parent_bundle_image_resolved ?? null,
  };
}
