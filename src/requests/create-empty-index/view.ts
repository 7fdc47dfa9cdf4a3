import type { JsonObject } from '../checks.ts';
import { viewBinaryImage, viewIndexImages } from '../index-block.ts';
import type { Viewed } from '../type.ts';
import type { CreateEmptyIndexPayload } from './payload.ts';

/** The keys of a create-empty-index request (rest-api.md §3.1). */
export function viewCreateEmptyIndex({ payload, outcome }: Viewed<CreateEmptyIndexPayload>): JsonObject {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    labels: payload.labels,
  };
}
