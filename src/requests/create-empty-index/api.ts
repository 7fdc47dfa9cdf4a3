import { requestType } from '../type.ts';
import { CreateEmptyIndexBody, CreateEmptyIndexPayload, checkCreateEmptyIndex } from './payload.ts';
import { CreateEmptyIndexAnswer, viewCreateEmptyIndex } from './view.ts';

/** Makes an index like another one but without operators. */
export const createEmptyIndex = requestType<CreateEmptyIndexPayload, typeof CreateEmptyIndexAnswer>({
  name: 'create-empty-index',
  summary: 'Makes an index like another one but without operators',
  payload: CreateEmptyIndexPayload,
  body: CreateEmptyIndexBody,
  answer: CreateEmptyIndexAnswer,
  check: checkCreateEmptyIndex,
  view: viewCreateEmptyIndex,
  outcome: [
    'binary_image',
    'binary_image_resolved',
    'distribution_scope',
    'from_index_resolved',
    'index_image',
    'index_image_resolved',
  ],
  ignored: [],
});
