import { requestType } from '../type.ts';
import { checkRegenerateBundle, RegenerateBundleBody, RegenerateBundlePayload } from './payload.ts';
import { RegenerateBundleAnswer, viewRegenerateBundle } from './view.ts';

/** Builds a bundle image anew with its image references pinned and customized. */
export const regenerateBundle = requestType<RegenerateBundlePayload, typeof RegenerateBundleAnswer>({
  name: 'regenerate-bundle',
  summary: 'Builds a bundle image anew with its image references pinned and customized',
  payload: RegenerateBundlePayload,
  body: RegenerateBundleBody,
  answer: RegenerateBundleAnswer,
  check: checkRegenerateBundle,
  view: viewRegenerateBundle,
  outcome: ['bundle_image', 'from_bundle_image_resolved'],
  ignored: ['bundle_replacements'],
  organization: (payload) => payload.organization,
});
