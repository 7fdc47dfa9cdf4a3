import { requestType } from '../type.ts';
import { CreateEmptyIndexPayload, checkCreateEmptyIndex } from './payload.ts';
import { viewCreateEmptyIndex } from './view.ts';

/** Makes an index like another one but without operators. */
export const createEmptyIndex = requestType<CreateEmptyIndexPayload>({
  name: 'create-empty-index',
  payload: CreateEmptyIndexPayload,
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
