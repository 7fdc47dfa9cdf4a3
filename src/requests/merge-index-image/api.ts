import { requestType } from '../type.ts';
import { checkMerge, MergeBody, MergePayload } from './payload.ts';
import { MergeAnswer, viewMerge } from './view.ts';

/** Merges the operators of one index into another. */
export const mergeIndexImage = requestType<MergePayload, typeof MergeAnswer>({
  name: 'merge-index-image',
  summary: 'Merges the operators of one index into another',
  payload: MergePayload,
  body: MergeBody,
  answer: MergeAnswer,
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
