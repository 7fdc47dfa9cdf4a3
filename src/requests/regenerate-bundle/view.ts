import type { JsonObject } from '../checks.ts';
import type { Viewed } from '../type.ts';
import type { RegenerateBundlePayload } from './payload.ts';

/** The keys of a regenerate-bundle request (rest-api.md §3.1). */
export function viewRegenerateBundle({ payload, outcome, link }: Viewed<RegenerateBundlePayload>): JsonObject {
  const related = link('related_bundles');
  return {
    bundle_image: outcome.bundle_image ?? null,
    bundle_replacements: payload.bundle_replacements,
    from_bundle_image: payload.from_bundle_image,
    from_bundle_image_resolved: outcome.from_bundle_image_resolved ?? null,
    organization: payload.organization,
    ...(related === null ? {} : { related_bundles: related }),
  };
}
