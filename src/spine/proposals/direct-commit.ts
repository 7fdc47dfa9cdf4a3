import { z } from 'zod';
import { Failure } from '../../errors/failure.ts';
import type { Step } from '../step.ts';
import { assertNothingMoved } from '../steps/merge.ts';
import { cancelRunOf } from '../steps/propose.ts';
import type { Proposal } from './proposal.ts';

const OnTarget = z.object({ branch: z.string(), base: z.string(), head: z.string() });
const OnItsOwn = z.object({ sourceBranch: z.string(), head: z.string() });
const Pushed = z.object({ sha: z.string() });

/** Puts the change onto the target branch, by a push that fails when somebody else was faster. */
const propose: Step<z.infer<typeof OnTarget>, z.infer<typeof Pushed>> = {
  name: 'propose',
  intent: OnTarget,
  outcome: Pushed,

  async intend({ plan: { branch, base, head } }) {
    return { branch, base, head };
  },

  async run({ head }, { pushOntoTarget, note }) {
    await pushOntoTarget();
    await note({ commit: head });
    return { sha: head };
  },

  /** Others may have built on it by now: history is not rewritten. */
  async undo(change, world) {
    const { forge, signal } = world;
    for (const sha of await forge.standingCommits(change, signal)) {
      await forge.revertMerge({ sha, branch: change.branch }, signal);
    }
    await cancelRunOf(change.head, world);
  },
};

/** There is nothing left to merge: what was built must still be on the branch, and what is shared as it was. */
const merge: Step<z.infer<typeof OnTarget>, z.infer<typeof Pushed>> = {
  name: 'merge',
  intent: OnTarget,
  outcome: Pushed,

  async intend(world) {
    await assertNothingMoved(world);
    const { branch, base, head } = world.plan;
    return { branch, base, head };
  },

  async run(change, { forge, note, signal }) {
    const { branch, head } = change;
    if (!(await forge.standingCommits(change, signal)).includes(head)) {
      throw new Failure('target_moved', `Somebody took the commit ${head} back from the branch ${branch}`);
    }
    await note({ merged: head });
    return { sha: head };
  },

  /** The commit goes where it came: when `propose` is undone. */
  async undo() {},
};

/** For a delivery that overwrites nothing: a branch of its own, whose push starts the pipeline. */
const proposeAside: Step<z.infer<typeof OnItsOwn>, z.infer<typeof Pushed>> = {
  name: 'propose',
  intent: OnItsOwn,
  outcome: Pushed,

  async intend({ plan: { sourceBranch, head } }) {
    return { sourceBranch, head };
  },

  async run({ head }, { pushBranch, note }) {
    await pushBranch();
    await note({ commit: head });
    return { sha: head };
  },

  async undo({ sourceBranch, head }, world) {
    await world.forge.deleteBranch(sourceBranch, world.signal);
    await cancelRunOf(head, world);
  },
};

const close: Step<Pick<z.infer<typeof OnItsOwn>, 'sourceBranch'>, Record<string, never>> = {
  name: 'close',
  intent: OnItsOwn.pick({ sourceBranch: true }),
  outcome: z.object({}),

  async intend({ plan: { sourceBranch } }) {
    return { sourceBranch };
  },

  async run({ sourceBranch }, { forge, signal }) {
    await forge.deleteBranch(sourceBranch, signal);
    return {};
  },

  /** Nothing to restore: undoing leaves no branch, either. */
  async undo() {},
};

/** A commit on the target branch: its push starts the pipeline, so the branch changes before the image is there. */
export const directCommit: Proposal = {
  overwriting: { propose, merge },
  throwAway: { propose: proposeAside, close },
};
