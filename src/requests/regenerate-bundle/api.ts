import { requestType } from '../type.ts';
import { checkRegenerateBundle, RegenerateBundlePayload } from './payload.ts';
import { viewRegenerateBundle } from './view.ts';

/** Builds a bundle image anew with its image references pinned and customized. */
export const regenerateBundle = requestType<RegenerateBundlePayload>({
  name: 'regenerate-bundle',
  payload: RegenerateBundlePayload,
  check: checkRegenerateBundle,
  view: viewRegenerateBundle,
  outcome: ['bundle_image', 'from_bundle_image_resolved'],
  ignored: ['bundle_replacements'],
  organization: (payload) => payload.organization,
});
