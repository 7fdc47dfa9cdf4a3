import { branchTip, NO_COMMIT } from './git.ts';
import type { PendingPush, Project } from './records.ts';
import { repositoryOf, type World } from './world.ts';

/**
 * A push shows in git at once, and in REST, in merge requests and by hooks only once GitLab's background jobs have
 * processed it (push-queue.ts). Files and trees are read from git: they are there at once.
 */

/** What REST says a branch points at; undefined also for one that was pushed and is not known yet. */
export async function visibleTip(world: World, project: Project, branch: string): Promise<string | undefined> {
  const pending = pendingMove(world, project, branch);
  if (pending === undefined) return branchTip(repositoryOf(world, project), branch);
  return pending.from === NO_COMMIT ? undefined : pending.from;
}

/** Whether a branch was pushed that REST does not know yet. */
export function isUnknownYet(world: World, project: Project, branch: string): boolean {
  return pendingMove(world, project, branch)?.from === NO_COMMIT;
}

/** Branches as REST lists them: `found` is what git has. */
export function visibleRefs(world: World, project: Project, found: { name: string; sha: string }[]) {
  const known = new Map(found.map(({ name, sha }) => [name, sha]));
  for (const push of pendingOf(world, project).reverse()) {
    for (const { ref, from } of push.moves.filter((move) => move.ref.startsWith(HEADS))) {
      if (from === NO_COMMIT) known.delete(ref.slice(HEADS.length));
      else known.set(ref.slice(HEADS.length), from);
    }
  }
  return [...known].map(([name, sha]) => ({ name, sha })).sort((one, other) => (one.name < other.name ? -1 : 1));
}

const HEADS = 'refs/heads/';

/** In the order of the pushes. */
export const pendingOf = (world: World, project: Project): PendingPush[] =>
  world.store.pendingPushes.filter((push) => push.project_id === project.id);

function pendingMove(world: World, project: Project, branch: string): PendingPush['moves'][number] | undefined {
  return pendingOf(world, project)
    .flatMap((push) => push.moves)
    .find(({ ref }) => ref === `${HEADS}${branch}`);
}
