import { requestType } from '../type.ts';
import { checkMerge, MergePayload } from './payload.ts';
import { viewMerge } from './view.ts';

/** Merges the operators of one index into another. */
export const mergeIndexImage = requestType<MergePayload>({
  name: 'merge-index-image',
  payload: MergePayload,
  check: checkMerge,
  view: viewMerge,
  outcome: [
    'binary_image',
    'binary_image_resolved',
    'distribution_scope',
    'index_image',
    'source_from_index_resolved',
    'target_index_resolved',
  ],
  ignored: [],
});
