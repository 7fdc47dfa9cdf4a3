import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { AddBody, AddPayload, checkAdd } from './payload.ts';
import { AddAnswer, viewAdd } from './view.ts';

/** Adds bundles to an index. */
export const add = requestType<AddPayload, typeof AddAnswer>({
  name: 'add',
  summary: 'Adds bundles to an index',
  payload: AddPayload,
  body: AddBody,
  answer: AddAnswer,
  check: checkAdd,
  view: viewAdd,
  outcome: [...INDEX_OUTCOME, 'omps_operator_version'],
  ignored: ['bundles', 'from_bundle_image_resolved'],
  bundles: (payload) => payload.bundles,
  organization: (payload) => payload.organization,
});
