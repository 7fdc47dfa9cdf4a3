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
import type { RmPayload } from './payload.ts';

export const RmAnswer = z.strictObject({
  ...BinaryImageAnswer,
  ...IndexImagesAnswer,
  ...InternalCopyAnswer,
  build_tags: z.array(z.string()),
  bundle_mapping: z.record(z.string(), z.array(z.string())),
  bundles: z.array(z.string()),
  deprecation_list: z.array(z.string()),
  distribution_scope: TextOrNull,
  organization: TextOrNull,
  removed_operators: z.array(z.string()),
});
export type RmAnswer = z.infer<typeof RmAnswer>;

/** The keys of an rm request (rest-api.md §3.1); those it shares with add alone are empty. */
export function viewRm({ payload, outcome }: Viewed<RmPayload>): RmAnswer {
  return {
    ...viewBinaryImage(payload, outcome),
    ...viewIndexImages(payload, outcome),
    ...viewInternalCopy(outcome),
    build_tags: payload.build_tags,
    bundle_mapping: {},
    bundles: [],
    deprecation_list: [],
    distribution_scope: outcome.distribution_scope ?? payload.distribution_scope,
    organization: null,
    removed_operators: payload.operators,
  };
}
