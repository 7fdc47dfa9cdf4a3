import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { checkRm, RmPayload } from './payload.ts';
import { viewRm } from './view.ts';

/** Removes operator packages from an index. */
export const rm = requestType<RmPayload>({
  name: 'rm',
  payload: RmPayload,
  check: checkRm,
  view: viewRm,
  outcome: INDEX_OUTCOME,
  ignored: ['from_bundle_image_resolved'],
});
