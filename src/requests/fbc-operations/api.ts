import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { checkFbcOperations, FbcOperationsPayload } from './payload.ts';
import { viewFbcOperations } from './view.ts';

/** Adds catalog fragments to an index. */
export const fbcOperations = requestType<FbcOperationsPayload>({
  name: 'fbc-operations',
  payload: FbcOperationsPayload,
  check: checkFbcOperations,
  view: viewFbcOperations,
  outcome: [...INDEX_OUTCOME, 'fbc_fragment', 'fbc_fragment_resolved', 'fbc_fragments_resolved'],
  ignored: ['fbc_fragments', 'from_bundle_image_resolved'],
});
