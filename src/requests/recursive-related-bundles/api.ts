import { requestType } from '../type.ts';
import { checkRecursiveRelatedBundles, RecursiveRelatedBundlesPayload } from './payload.ts';
import { viewRecursiveRelatedBundles } from './view.ts';

/** Finds all bundles a bundle refers to, level by level. */
export const recursiveRelatedBundles = requestType<RecursiveRelatedBundlesPayload>({
  name: 'recursive-related-bundles',
  payload: RecursiveRelatedBundlesPayload,
  check: checkRecursiveRelatedBundles,
  view: viewRecursiveRelatedBundles,
  outcome: ['parent_bundle_image_resolved'],
  ignored: [],
  organization: (payload) => payload.organization,
});
