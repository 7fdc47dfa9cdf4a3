import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { checkFbcOperations, FbcOperationsBody, FbcOperationsPayload } from './payload.ts';
import { FbcOperationsAnswer, viewFbcOperations } from './view.ts';

/** Adds catalog fragments to an index. */
export const fbcOperations = requestType<FbcOperationsPayload, typeof FbcOperationsAnswer>({
  name: 'fbc-operations',
  summary: 'Adds catalog fragments to an index',
  payload: FbcOperationsPayload,
  body: FbcOperationsBody,
  answer: FbcOperationsAnswer,
  check: checkFbcOperations,
  view: viewFbcOperations,
  outcome: [...INDEX_OUTCOME, 'fbc_fragment', 'fbc_fragment_resolved', 'fbc_fragments_resolved'],
  ignored: ['fbc_fragments', 'from_bundle_image_resolved'],
});
