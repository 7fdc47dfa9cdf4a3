import { z } from 'zod';
import { BinaryImageAnswer, IndexImagesAnswer, viewBinaryImage, viewIndexImages } from '../index-block.ts';
import { StringMap, TextOrNull, type Viewed } from '../type.ts';
import type { CreateEmptyIndexPayload } from './payload.ts';

export const CreateEmptyIndexAnswer = z.strictObject({
  ...BinaryImageAnswer,
  ...IndexImagesAnswer,
  distribution_scope: TextOrNull,
  labels: StringMap.nullable(),
});
export type CreateEmptyIndexAnswer = z.infer<typeof CreateEmptyIndexAnswer>;

/** The keys of a create-empty-index request (rest-api.md §3.1). */
export function viewCreateEmptyIndex({ payload, outcome }: Viewed<CreateEmptyIndexPayload>): CreateEmptyIndexAnswer {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    labels: payload.labels,
  };
}
