import { z } from 'zod';

const Image = z.string();

/**
 * What the worker finds out about a request and makes for it, as stored in `requests.outcome`: the keys of PATCH
 * (rest-api.md §6) without the states and without `bundle_mapping`, which belongs to the pull specs.
 * Each request type shows and accepts only its own keys (requests/<type>/view.ts).
 */
export const Outcome = z
  .strictObject({
    arches: z.array(z.string()),
    binary_image: Image,
    binary_image_resolved: Image,
    bundle_image: Image,
    distribution_scope: z.string(),
    fbc_fragment: Image,
    fbc_fragment_resolved: Image,
    fbc_fragments_resolved: z.array(Image),
    from_bundle_image_resolved: Image,
    from_index_resolved: Image,
    index_image: Image,
    index_image_resolved: Image,
    internal_index_image_copy: Image,
    internal_index_image_copy_resolved: Image,
    /** JSON text, so that its numbers survive as they came. */
    omps_operator_version: z.string(),
    parent_bundle_image_resolved: Image,
    source_from_index_resolved: Image,
    target_index_resolved: Image,
  })
  .partial();
export type Outcome = z.infer<typeof Outcome>;
