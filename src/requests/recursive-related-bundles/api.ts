import { requestType } from '../type.ts';
import {
  checkRecursiveRelatedBundles,
  RecursiveRelatedBundlesBody,
  RecursiveRelatedBundlesPayload,
} from './payload.ts';
import { RecursiveRelatedBundlesAnswer, viewRecursiveRelatedBundles } from './view.ts';

/** Finds all bundles a bundle refers to, level by level. */
export const recursiveRelatedBundles = requestType<
  RecursiveRelatedBundlesPayload,
  typeof RecursiveRelatedBundlesAnswer
>({
  name: 'recursive-related-bundles',
  summary: 'Finds all bundles a bundle refers to, level by level',
  payload: RecursiveRelatedBundlesPayload,
  body: RecursiveRelatedBundlesBody,
  answer: RecursiveRelatedBundlesAnswer,
  check: checkRecursiveRelatedBundles,
  view: viewRecursiveRelatedBundles,
  outcome: ['parent_bundle_image_resolved'],
  ignored: [],
  organization: (payload) => payload.organization,
});
