import { z } from 'zod';
import type { Step } from '../step.ts';

const Intent = z.object({ sourceBranch: z.string() });
const Outcome = z.object({});

/** A delivery that overwrites nothing has what it needs once the image is built: its merge request and branch go. */
export const close: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'close',
  intent: Intent,
  outcome: Outcome,

  async intend({ plan: { sourceBranch } }) {
    return { sourceBranch };
  },

  async run({ sourceBranch }, { forge, signal }) {
    await forge.closeMergeRequestOf(sourceBranch, signal);
    await forge.deleteBranch(sourceBranch, signal);
    return {};
  },

  /** Nothing to restore: a closed merge request is what undoing leaves, too. */
  async undo() {},
};
