import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { AddPayload, checkAdd } from './payload.ts';
import { viewAdd } from './view.ts';

/** Adds bundles to an index. */
export const add = requestType<AddPayload>({
  name: 'add',
  payload: AddPayload,
  check: checkAdd,
  view: viewAdd,
  outcome: [...INDEX_OUTCOME, 'omps_operator_version'],
  ignored: ['bundles', 'from_bundle_image_resolved'],
  bundles: (payload) => payload.bundles,
  organization: (payload) => payload.organization,
});
