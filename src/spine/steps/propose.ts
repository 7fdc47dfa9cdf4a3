import { z } from 'zod';
import type { Step } from '../step.ts';

const Intent = z.object({ sourceBranch: z.string(), head: z.string() });
const Outcome = z.object({ iid: z.number().int(), webUrl: z.string() });

/** Pushes the change to a branch of its own and opens the merge request for it. */
export const propose: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'propose',
  intent: Intent,
  outcome: Outcome,

  async intend({ plan: { sourceBranch, head } }) {
    return { sourceBranch, head };
  },

  async run({ sourceBranch }, { plan, forge, pushBranch, note, signal }) {
    await pushBranch();
    const { iid, webUrl } = await forge.openMergeRequest(
      {
        sourceBranch,
        targetBranch: plan.branch,
        title: plan.title,
        description: plan.description,
      },
      signal,
    );
    await note({ merge_request: webUrl });
    return { iid, webUrl };
  },

  async undo({ sourceBranch }, { forge, signal }) {
    await forge.closeMergeRequestOf(sourceBranch, signal);
    await forge.deleteBranch(sourceBranch, signal);
  },
};
