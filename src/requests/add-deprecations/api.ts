import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { AddDeprecationsPayload, checkAddDeprecations } from './payload.ts';
import { viewAddDeprecations } from './view.ts';

/** Puts a deprecation schema into an operator's package. */
export const addDeprecations = requestType<AddDeprecationsPayload>({
  name: 'add-deprecations',
  payload: AddDeprecationsPayload,
  check: checkAddDeprecations,
  view: viewAddDeprecations,
  outcome: INDEX_OUTCOME,
  ignored: ['from_bundle_image_resolved'],
});
