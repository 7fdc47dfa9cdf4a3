import { branchTip, commitTree, GitRefused, gitText, mergeTrees } from './git.ts';
import { readCommits } from './history.ts';
import { moveAndTell } from './push-queue.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { repositoryOf, type World } from './world.ts';

/**
 * Puts the commits of a request on the tip of its target. Success is a push to the source branch (hook `update` with
 * `oldrev`); failure shows as `merge_error` (konflux-and-gitlab.md §4.1).
 */
export async function rebase(world: World, project: Project, user: User, request: MergeRequest): Promise<void> {
  const repository = repositoryOf(world, project);
  let failure: string | null = null;
  await world.alone(project, async () => {
    try {
      const onto = await branchTip(repository, request.target_branch);
      if (onto === undefined) throw new GitRefused('Target branch does not exist');
      const from = request.sha;
      const to = await replay(repository, request, onto, user);
      if (to === from) return;
      const ref = `refs/heads/${request.source_branch}`;
      await moveAndTell(world, project, user, [{ ref, from, to }]);
    } catch (thrown) {
      if (!(thrown instanceof GitRefused)) throw thrown;
      failure = 'Rebase failed: Rebase locally, resolve all conflicts, then push the branch.';
    } finally {
      world.store.mergeRequests.change(request, { rebase_in_progress: false, merge_error: failure });
    }
  });
}

async function replay(repository: string, request: MergeRequest, onto: string, user: User): Promise<string> {
  const range = ['--no-merges', '--topo-order', '--reverse', request.sha, `^${onto}`, '--'];
  let tip = onto;
  for (const commit of await readCommits(repository, range)) {
    const [parent] = commit.parent_ids;
    if (parent === tip) {
      tip = commit.id;
      continue;
    }
    const merged = await mergeTrees(repository, tip, commit.id, parent);
    if ('conflicts' in merged) throw new GitRefused('conflict');
    // A commit whose changes the target has already is left out.
    if (merged.tree === (await gitText(repository, ['rev-parse', `${tip}^{tree}`]))) continue;
    tip = await commitTree(repository, {
      tree: merged.tree,
      parents: [tip],
      message: commit.message,
      author: commit.author,
      committer: { name: user.name, email: user.email },
    });
  }
  return tip;
}
