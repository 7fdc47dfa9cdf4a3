import { z } from 'zod';
import {
  BinaryImageAnswer,
  IndexImagesAnswer,
  InternalCopyAnswer,
  viewBinaryImage,
  viewIndexImages,
  viewInternalCopy,
} from '../index-block.ts';
import type { Viewed } from '../type.ts';
import type { AddDeprecationsPayload } from './payload.ts';

export const AddDeprecationsAnswer = z.strictObject({
  ...BinaryImageAnswer,
  ...IndexImagesAnswer,
  ...InternalCopyAnswer,
  build_tags: z.array(z.string()),
  deprecation_schema_url: z.string(),
  operator_package: z.string(),
});
export type AddDeprecationsAnswer = z.infer<typeof AddDeprecationsAnswer>;

/** The keys of an add-deprecations request (rest-api.md §3.1); the distribution scope is not among them. */
export function viewAddDeprecations({ payload, outcome, url }: Viewed<AddDeprecationsPayload>): AddDeprecationsAnswer {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    deprecation_schema_url: url('deprecation-schema'),
    operator_package: payload.operator_package,
  };
}
