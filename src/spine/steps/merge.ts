import { z } from 'zod';
import { asFailure, describe, Failure } from '../../errors/failure.ts';
import { patiently } from '../../errors/retry.ts';
import type { Step, StepWorld } from '../step.ts';
import { propose } from './propose.ts';

const Intent = z.object({ iid: z.number().int(), head: z.string(), branch: z.string(), base: z.string() });
const Outcome = z.object({ sha: z.string() });

/** Merges the merge request, guarded by the commit that was built: the commit point of an overwriting delivery. */
export const merge: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'merge',
  intent: Intent,
  outcome: Outcome,

  async intend(world) {
    await assertNothingMoved(world);
    const { plan } = world;
    return { iid: world.outcomeOf(propose).iid, head: plan.head, branch: plan.branch, base: plan.base };
  },

  async run({ iid, head, branch, base }, world) {
    const { forge, deadlines, signal, note, report, log } = world;
    const sha = await forge.mergeWhenReady({
      iid,
      sha: head,
      targetBranch: branch,
      base,
      within: deadlines.merge,
      signal,
      onWaiting: ({ status, remedy, webUrl }) => {
        const told = [note({ progress: status })];
        if (remedy !== null) told.push(report(`Merge request ${iid} waits: ${remedy} (${webUrl})`));
        Promise.all(told).catch((cause) => log.warn({ err: cause }, 'the reason for waiting could not be told'));
      },
    });
    await note({ merged: sha });
    await removeSourceBranch(world);
    return { sha };
  },

  async undo({ iid, head, branch, base }, { forge, signal }) {
    const merged = await forge.mergedCommit({ iid, sha: head }, signal);
    if (merged === null) return;
    // A revert whose answer was lost is not made twice, nor one that somebody made by hand.
    const standing = await forge.standingCommits({ branch, base, head: merged, mergeRequest: iid }, signal);
    // A fast-forward puts the commits themselves onto the branch, one for each request; all else ends in one commit.
    const landed = merged === head ? standing : standing.filter((sha) => sha === merged);
    for (const sha of landed) await forge.revertMerge({ sha, branch }, signal);
  },
};

/** Milliseconds for which publishing waits for a GitLab that is away. */
const BRANCH_PATIENCE = 30_000;

/**
 * GitLab was asked to remove the branch when it merges, which it does later, or not at all. One that it does not let us
 * remove is told and left: what is merged is not taken back for it.
 */
async function removeSourceBranch({ plan, forge, deadlines, signal, log, note }: StepWorld): Promise<void> {
  const patience = { total: Math.min(deadlines.patience, BRANCH_PATIENCE), first: 250, longest: 5000 };
  try {
    await patiently(patience, signal, () => forge.deleteBranch(plan.sourceBranch, signal));
  } catch (thrown) {
    const { code, verdict } = asFailure(thrown);
    if (signal.aborted || verdict === 'internal' || code === 'database_unavailable') throw thrown;
    log.warn({ code, branch: plan.sourceBranch }, `The source branch remains, delete it by hand: ${describe(thrown)}`);
    await note({ source_branch_remains: plan.sourceBranch });
  }
}

/** What we built on must still be what the shared tags say, or the change of somebody else would be lost (H9, H21). @throws Failure `from_index_changed`, `target_moved` */
export async function assertNothingMoved({ plan, registry }: StepWorld): Promise<void> {
  for (const { overwrites, artifact } of plan.requests) {
    if (overwrites !== null && (await registry.digestOf(overwrites.tag)) !== overwrites.digest) {
      throw new Failure(
        'from_index_changed',
        'The supplied from_index image changed during the IIB request. Please resubmit the request.',
      );
    }
    if (artifact !== null && (await registry.digestOf(artifact.shared.tag)) !== artifact.shared.digest) {
      throw new Failure('target_moved', `The index.db artifact ${artifact.shared.tag} changed during the request`);
    }
  }
}
