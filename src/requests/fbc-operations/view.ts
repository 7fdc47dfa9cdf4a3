import { z } from 'zod';
import {
  BinaryImageAnswer,
  IndexImagesAnswer,
  InternalCopyAnswer,
  viewBinaryImage,
  viewIndexImages,
  viewInternalCopy,
} from '../index-block.ts';
import { TextOrNull, type Viewed } from '../type.ts';
import type { FbcOperationsPayload } from './payload.ts';

export const FbcOperationsAnswer = z.strictObject({
  ...BinaryImageAnswer,
  ...IndexImagesAnswer,
  ...InternalCopyAnswer,
  build_tags: z.array(z.string()),
  distribution_scope: TextOrNull,
  fbc_fragment: TextOrNull,
  fbc_fragment_resolved: TextOrNull,
  fbc_fragments: z.array(z.string()),
  fbc_fragments_resolved: z.array(z.string()),
});
export type FbcOperationsAnswer = z.infer<typeof FbcOperationsAnswer>;

/** The keys of an fbc-operations request (rest-api.md §3.1), fragments in the form the client used (§3.5). */
export function viewFbcOperations({ payload, outcome }: Viewed<FbcOperationsPayload>): FbcOperationsAnswer {
  const single = outcome.fbc_fragment ?? payload.fbc_fragment;
  const resolved = outcome.fbc_fragments_resolved ?? [];
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    fbc_fragment: single,
    fbc_fragment_resolved: single === null ? null : (outcome.fbc_fragment_resolved ?? resolved[0] ?? null),
    fbc_fragments: single === null ? payload.fbc_fragments : [],
    fbc_fragments_resolved: single === null ? resolved : [],
  };
}
