import { z } from 'zod';
import { ProposalKind } from '../config/schema.ts';

/**
 * What can be recorded of a finished image: its arches; the image people are to use, which is the one that was
 * overwritten if one was; the request's own copy; both also by digest.
 */
export const FinishedImage = z.enum(['arches', 'image', 'image_resolved', 'copy', 'copy_resolved']);

/** What one request hands to its delivery, as values: the spine knows no request type. */
export const PlannedRequest = z.object({
  id: z.number().int(),
  /** Put before the message of any failure after the change (request-handling.md §1). */
  failurePrefix: z.string(),
  /** State reason of success. */
  done: z.string(),
  /** The request's own tag; the image people of this request use, whatever happens to shared tags. */
  output: z.string(),
  /** Tags of the output repository that other people may be looking at. */
  buildTags: z.array(z.string()),
  /** Tag of the configured index that the image is a version of; null for images that are no indexes. */
  index: z.string().nullable().default(null),
  /** The index this request replaces, with the digest it was read at (null: the tag did not exist). */
  overwrites: z.object({ tag: z.string(), digest: z.string().nullable() }).nullable(),
  /** index.db: the request's own artifact, and the shared one that an overwrite moves. Null for requests without. */
  artifact: z
    .object({
      own: z.string(),
      annotations: z.record(z.string(), z.string()),
      shared: z.object({ tag: z.string(), digest: z.string().nullable() }),
    })
    .nullable(),
  /** Where `output` stands under the public registry name. */
  publicOutput: z.string(),
  /** What of the finished image goes under which key of the request's outcome; the types differ in both (§7). */
  records: z.record(z.string(), FinishedImage),
});
export type PlannedRequest = z.infer<typeof PlannedRequest>;

/** All that the steps of a delivery need, decided after the change and before the first effect; kept in the database. */
export const Plan = z.object({
  repository: z.string(),
  branch: z.string(),
  /** Tip of the branch that the change was made on. */
  base: z.string(),
  sourceBranch: z.string(),
  /** Commit that is proposed, built and merged. */
  head: z.string(),
  /** Merge the change and move shared tags, or only build it. */
  overwrite: z.boolean(),
  /** Which steps propose, merge and close it. */
  proposal: ProposalKind.default('merge-request'),
  title: z.string(),
  description: z.string(),
  /** Template name of the PipelineRun to wait for, if several may run. */
  pipeline: z.string().optional(),
  /** Where it runs: a cluster by its name in the configuration, and a namespace; the defaults when absent. */
  cluster: z.string().optional(),
  namespace: z.string().optional(),
  arches: z.array(z.string()),
  requests: z.array(PlannedRequest).nonempty(),
});
export type Plan = z.infer<typeof Plan>;
