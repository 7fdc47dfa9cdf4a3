import type { JsonObject } from '../checks.ts';
import { viewBinaryImage, viewIndexImages, viewInternalCopy } from '../index-block.ts';
import type { Viewed } from '../type.ts';
import type { AddDeprecationsPayload } from './payload.ts';

/** The keys of an add-deprecations request (rest-api.md §3.1); the distribution scope is not among them. */
export function viewAddDeprecations({ payload, outcome, url }: Viewed<AddDeprecationsPayload>): JsonObject {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    deprecation_schema_url: url('deprecation-schema'),
    operator_package: payload.operator_package,
  };
}
