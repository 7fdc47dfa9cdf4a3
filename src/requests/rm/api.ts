import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { checkRm, RmBody, RmPayload } from './payload.ts';
import { RmAnswer, viewRm } from './view.ts';

/** Removes operator packages from an index. */
export const rm = requestType<RmPayload, typeof RmAnswer>({
  name: 'rm',
  summary: 'Removes operator packages from an index',
  payload: RmPayload,
  body: RmBody,
  answer: RmAnswer,
  check: checkRm,
  view: viewRm,
  outcome: INDEX_OUTCOME,
  ignored: ['from_bundle_image_resolved'],
});
