import { z } from 'zod';
import { Link, StringMap, TextOrNull, type Viewed } from '../type.ts';
import type { RegenerateBundlePayload } from './payload.ts';

export const RegenerateBundleAnswer = z.strictObject({
  bundle_image: TextOrNull,
  bundle_replacements: StringMap,
  from_bundle_image: z.string(),
  from_bundle_image_resolved: TextOrNull,
  organization: TextOrNull,
  related_bundles: Link.optional(),
});
export type RegenerateBundleAnswer = z.infer<typeof RegenerateBundleAnswer>;

/** The keys of a regenerate-bundle request (rest-api.md §3.1). */
export function viewRegenerateBundle({
  payload,
  outcome,
  links: { relatedBundles },
}: Viewed<RegenerateBundlePayload>): RegenerateBundleAnswer {
  return {
    bundle_image: outcome.bundle_image ?? null,
    bundle_replacements: payload.bundle_replacements,
    from_bundle_image: payload.from_bundle_image,
    from_bundle_image_resolved: outcome.from_bundle_image_resolved ?? null,
    organization: payload.organization,
    ...(relatedBundles === null ? {} : { related_bundles: relatedBundles }),
  };
}
