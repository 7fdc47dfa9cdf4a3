import { INDEX_OUTCOME } from '../index-block.ts';
import { requestType } from '../type.ts';
import { AddDeprecationsBody, AddDeprecationsPayload, checkAddDeprecations } from './payload.ts';
import { AddDeprecationsAnswer, viewAddDeprecations } from './view.ts';

/** Puts a deprecation schema into an operator's package. */
export const addDeprecations = requestType<AddDeprecationsPayload, typeof AddDeprecationsAnswer>({
  name: 'add-deprecations',
  summary: "Puts a deprecation schema into an operator's package",
  payload: AddDeprecationsPayload,
  body: AddDeprecationsBody,
  answer: AddDeprecationsAnswer,
  check: checkAddDeprecations,
  view: viewAddDeprecations,
  outcome: INDEX_OUTCOME,
  ignored: ['from_bundle_image_resolved'],
});
