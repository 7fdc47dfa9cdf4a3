import { z } from 'zod';
import { asFailure } from '../../errors/failure.ts';
import type { Step, StepWorld } from '../step.ts';

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

  async run({ sourceBranch, head }, { plan, forge, pushBranch, note, deadlines, signal }) {
    await pushBranch();
    const { iid, webUrl } = await forge.openMergeRequest(
      {
        sourceBranch,
        head,
        targetBranch: plan.branch,
        title: plan.title,
        description: plan.description,
        within: deadlines.branchAppears,
        // Losing a note is no reason to stop waiting; a lost lease shows at the next write of the journal.
        onWaiting: (reason) =>
          void note({ progress: `GitLab does not know the branch yet: ${reason}` }).catch(() => {}),
      },
      signal,
    );
    await note({ merge_request: webUrl });
    return { iid, webUrl };
  },

  /** The run it has started ends with it: nobody is going to wait for its image. */
  async undo({ sourceBranch, head }, world) {
    await world.forge.closeMergeRequestOf(sourceBranch, world.signal);
    await world.forge.deleteBranch(sourceBranch, world.signal);
    await cancelRunOf(head, world);
  },
};

/** Ends the run of a commit that was pushed, if there is one and the rights allow it. */
export async function cancelRunOf(sha: string, { plan, cluster, log, signal }: StepWorld): Promise<void> {
  try {
    const run = await cluster.findRun({ sha, template: plan.pipeline, appears: 0, signal });
    await cluster.cancelRun(run, signal);
  } catch (thrown) {
    const { code } = asFailure(thrown);
    if (code === 'pipeline_not_started') return;
    // Where our role may not cancel, the run ends by itself and its image is nobody's.
    if (code !== 'kubernetes_denied') throw thrown;
    log.warn({ sha }, 'the PipelineRun may not be cancelled with the rights given: it runs to its end');
  }
}
