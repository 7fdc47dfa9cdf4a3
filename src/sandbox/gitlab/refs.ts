import { announceMergeRequest, announcePush, type RefMove } from './events.ts';
import { branchTip, git, gitText, isAncestor, mergeBase, moveRefs, NO_COMMIT } from './git.ts';
import { readChanges } from './history.ts';
import { markUnchecked, startCheck } from './mergeability.ts';
import { systemNote } from './notes.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { now, repositoryOf, type World } from './world.ts';

/**
 * Everything that follows from branches and tags having moved, whoever moved them: the default branch of a new
 * repository, merge requests whose source or target moved, hooks (konflux-and-gitlab.md §4.1, §4.5).
 */
export async function refsMoved(world: World, project: Project, user: User, moves: RefMove[]): Promise<void> {
  const branches = moves.filter((move) => move.ref.startsWith('refs/heads/'));
  await adoptDefaultBranch(world, project, branches);
  world.store.projects.change(project, { last_activity_at: now() });
  for (const move of branches) {
    const branch = move.ref.slice('refs/heads/'.length);
    if (move.to !== NO_COMMIT) await finishMergedElsewhere(world, project, user, branch, move);
    // Moved again meanwhile: merge requests go by where it is now, and the later move is told by itself.
    if (((await branchTip(repositoryOf(world, project), branch)) ?? NO_COMMIT) !== move.to) continue;
    for (const request of openRequests(world, project)) {
      if (request.source_branch === branch) await sourceMoved(world, project, user, request, move);
      else if (request.target_branch === branch) markUnchecked(world, request);
    }
  }
  await announcePush(world, project, user, moves);
}

const openRequests = (world: World, project: Project) =>
  world.store.mergeRequests.filter((each) => each.project_id === project.id && each.state === 'opened');

/** The first branch of an empty repository becomes its default. */
async function adoptDefaultBranch(world: World, project: Project, moves: RefMove[]): Promise<void> {
  const present = moves.filter((move) => move.to !== NO_COMMIT).map((move) => move.ref.slice('refs/heads/'.length));
  if (project.default_branch !== null || present.length === 0) return;
  const name = present.find((branch) => branch === 'main') ?? present[0] ?? 'main';
  await gitText(repositoryOf(world, project), ['symbolic-ref', 'HEAD', `refs/heads/${name}`]);
  world.store.projects.change(project, { default_branch: name });
  const known = world.store.protectedBranches.find((rule) => rule.project_id === project.id && rule.name === name);
  // GitLab protects the default branch: maintainers push and merge, nobody forces.
  if (known === undefined) {
    world.store.protectedBranches.add({
      project_id: project.id,
      name,
      push_level: 40,
      merge_level: 40,
      allow_force_push: false,
    });
  }
}

/** A push to the target that contains a request's head has merged it. */
async function finishMergedElsewhere(world: World, project: Project, user: User, branch: string, move: RefMove) {
  if (move.from === NO_COMMIT) return;
  const repository = repositoryOf(world, project);
  for (const request of openRequests(world, project).filter((each) => each.target_branch === branch)) {
    if (request.sha === request.base_sha) continue;
    const brought =
      (await isAncestor(repository, request.sha, move.to)) && !(await isAncestor(repository, request.sha, move.from));
    if (brought) await markMerged(world, project, user, request, {});
  }
}

/** Makes the request merged and tells about it. */
export async function markMerged(
  world: World,
  project: Project,
  user: User,
  request: MergeRequest,
  shas: { merge_commit_sha?: string | null; squash_commit_sha?: string | null },
): Promise<void> {
  const moment = now();
  world.store.mergeRequests.change(request, {
    ...shas,
    state: 'merged',
    merge_error: null,
    auto_merge: null,
    merged_at: moment,
    updated_at: moment,
    merge_user_id: user.id,
  });
  systemNote(world, request, user, 'merged');
  await announceMergeRequest(world, project, user, request, 'merge');
}

async function sourceMoved(world: World, project: Project, user: User, request: MergeRequest, move: RefMove) {
  if (move.to === NO_COMMIT) {
    systemNote(world, request, user, `deleted source branch \`${request.source_branch}\``);
    return closeRequest(world, project, user, request);
  }
  if (move.to === request.sha) return;
  const oldrev = request.sha;
  await refreshDiff(world, project, request, move.to);
  markUnchecked(world, request);
  startCheck(world, request);
  systemNote(world, request, user, `added commits ${oldrev.slice(0, 8)}...${move.to.slice(0, 8)}`);
  await announceMergeRequest(world, project, user, request, 'update', { oldrev });
}

/** Closes a request; its branch stays. */
export async function closeRequest(world: World, project: Project, user: User, request: MergeRequest): Promise<void> {
  const moment = now();
  world.store.mergeRequests.change(request, {
    state: 'closed',
    auto_merge: null,
    merge_error: null,
    closed_at: moment,
    closed_by_id: user.id,
    updated_at: moment,
  });
  systemNote(world, request, user, 'closed');
  await announceMergeRequest(world, project, user, request, 'close', {
    changes: { state_id: { previous: 1, current: 2 }, updated_at: { previous: null, current: moment } },
  });
}

/** Sets the request to a new head and works out what it changes. Keeps the head from vanishing with its branch. */
export async function refreshDiff(world: World, project: Project, request: MergeRequest, head: string): Promise<void> {
  const repository = repositoryOf(world, project);
  const start = (await branchTip(repository, request.target_branch)) ?? request.start_sha;
  const base = (await mergeBase(repository, start, head)) ?? start;
  const changes = await readChanges(repository, base, head);
  await moveRefs(repository, [{ ref: `refs/merge-requests/${request.iid}/head`, to: head }]);
  await keepAround(repository, head);
  world.store.mergeRequests.change(request, {
    sha: head,
    start_sha: start,
    base_sha: base,
    changed_files: changes.length,
    merge_error: null,
    auto_merge: null,
    updated_at: now(),
  });
}

/** Keeps a commit reachable whatever happens to its branch. */
export async function keepAround(repository: string, sha: string): Promise<void> {
  await git(repository, ['update-ref', `refs/keep-around/${sha}`, sha]);
}
