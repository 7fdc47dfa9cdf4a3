import { z } from 'zod';
import { nameOf } from '../../registry/pull-spec.ts';
import { restoreTag } from '../../registry/restore.ts';
import type { Step } from '../step.ts';
import { build } from './build.ts';

const Intent = z.object({
  digest: z.string(),
  image: z.string(),
  /** Each request's own tag, with the digest it has now. */
  before: z.record(z.string(), z.string().nullable()),
});
const Outcome = z.object({ digest: z.string() });

/**
 * Brings all content to where it will be needed: the image under the requests' own tags, and without a tag into the
 * repositories of the indexes that will be overwritten. No shared tag changes. A token that may not push is found out
 * here, before the commit point.
 */
export const stage: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'stage',
  intent: Intent,
  outcome: Outcome,

  async intend({ plan, registry, outcomeOf }) {
    const { image, digest } = outcomeOf(build);
    const before: Record<string, string | null> = {};
    for (const { output } of plan.requests) before[output] = await registry.digestOf(output);
    return { image, digest, before };
  },

  async run({ image, digest }, { plan, copy, report }) {
    await report('Copying built index to IIB registry');
    for (const { output, overwrites } of plan.requests) {
      await copy(image, output);
      if (overwrites !== null) await copy(`${nameOf(output)}@${digest}`, `${nameOf(overwrites.tag)}@${digest}`);
    }
    return { digest };
  },

  async undo({ digest, before }, { registry }) {
    for (const [tag, old] of Object.entries(before)) await restoreTag(registry, tag, { ours: digest, old });
  },
};
