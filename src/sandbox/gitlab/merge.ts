import { z } from 'zod';
import { mayMergeInto, mayPush, protectionsOf } from './access.ts';
import { type Call, caller, projectOf, type Route, route, take } from './call.ts';
import {
  branchTip,
  commitTree,
  GitRefused,
  gitText,
  isAncestor,
  mergeTrees,
  moveRefs,
  NO_COMMIT,
  type Person,
} from './git.ts';
import { readCommit, readCommits } from './history.ts';
import { requestView, squashes } from './merge-request-view.ts';
import { obstacles, startCheck } from './mergeability.ts';
import { requestOf } from './notes.ts';
import { flag, text } from './params.ts';
import { headPipeline, pipelineStatus } from './pipelines.ts';
import { moveAndTell, processNow } from './push-queue.ts';
import { rebase } from './rebase.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { markMerged, refsMoved } from './refs.ts';
import { findRefusal, refusal } from './refusals.ts';
import { forbidden, ok, refuse, unauthorized } from './reply.ts';
import { repositoryOf, type World } from './world.ts';

const MergeParams = z.object({
  sha: text.optional(),
  squash: flag.optional(),
  squash_commit_message: text.optional(),
  merge_commit_message: text.optional(),
  should_remove_source_branch: flag.optional(),
  auto_merge: flag.optional(),
  merge_when_pipeline_succeeds: flag.optional(),
});
type MergeParams = z.infer<typeof MergeParams>;

/** Merges, with the checks in the order of konflux-and-gitlab.md §4.1. */
async function merge(call: Call) {
  const { world } = call;
  const project = projectOf(call);
  const user = caller(call);
  const request = requestOf(call, project);
  const wanted = take(call, MergeParams);
  if (!mayMergeInto(world, user, project, request.target_branch)) throw refusal(world, 'merge-unauthorized');
  const injected = world.faults.mergeRefusal(project);
  if (injected !== undefined) throw refuse(injected.status, injected.message ?? TEXTS[injected.status] ?? 'Refused');
  // A refused call starts the check that its next try needs.
  startCheck(world, request);
  if (world.release === 'newest') checkSha(world, wanted.sha, request);
  const { state, ci, git } = obstacles(world, project, request);
  const waiting =
    (wanted.auto_merge ?? wanted.merge_when_pipeline_succeeds ?? false) && pipelineActive(world, project, request);
  if (state !== undefined || (ci !== undefined && !waiting)) throw refusal(world, 'merge-not-ready');
  if (git !== undefined) throw refusal(world, 'merge-conflict');
  if (world.release === 'older') checkSha(world, wanted.sha, request);
  world.store.mergeRequests.change(request, {
    squash: wanted.squash ?? request.squash,
    should_remove_source_branch: wanted.should_remove_source_branch ?? request.should_remove_source_branch,
  });
  if (waiting) {
    world.store.mergeRequests.change(request, {
      auto_merge: { user_id: user.id, squash: request.squash, sha: request.sha },
    });
  } else {
    await execute(world, project, user, request, wanted);
  }
  return ok(requestView(world, project, request, user));
}

const TEXTS: Record<number, string> = {
  401: '401 Unauthorized',
  403: '403 Forbidden',
  405: '405 Method Not Allowed',
  406: 'Branch cannot be merged',
  422: 'Branch cannot be merged',
};

function checkSha(world: World, sha: string | undefined, request: MergeRequest): void {
  if (sha !== undefined && sha !== request.sha) throw refusal(world, 'merge-sha', { sha: request.sha });
}

function pipelineActive(world: World, project: Project, request: MergeRequest): boolean {
  const pipeline = headPipeline(world, project, request.sha);
  return pipeline !== undefined && ['pending', 'running'].includes(pipelineStatus(world, pipeline));
}

/** Merges requests that were set to merge by themselves once the pipeline has succeeded. */
export function autoMerge(world: World, project: Project, sha: string): void {
  for (const request of world.store.mergeRequests.filter(
    (each) => each.project_id === project.id && each.sha === sha,
  )) {
    const user = request.auto_merge === null ? undefined : world.store.users.get(request.auto_merge.user_id);
    const { state, ci, git } = obstacles(world, project, request);
    if (user === undefined || (state ?? ci ?? git) !== undefined) continue;
    world.background.start(`auto-merge of !${request.iid}`, () => execute(world, project, user, request, {}));
  }
}

/** @throws Refused 422 when the merge was run and failed; the request is open again and `merge_error` says why */
async function execute(world: World, project: Project, user: User, request: MergeRequest, wanted: MergeParams) {
  await world.alone(project, async () => {
    // Two calls at once: the second finds what the first has done.
    if (request.state !== 'opened') throw refusal(world, 'merge-not-ready');
    checkSha(world, wanted.sha, request);
    world.store.mergeRequests.change(request, { state: 'locked' });
    try {
      const declined = world.faults.mergeError(project);
      if (declined !== undefined) throw new MergeFailed(declined);
      await mergeNow(world, project, user, request, wanted);
    } catch (thrown) {
      unlock(world, request);
      if (!(thrown instanceof GitRefused)) throw thrown;
      const reason = thrown instanceof MergeFailed ? thrown.message : mergeErrorOf(world, 'merge-error');
      world.store.mergeRequests.change(request, { merge_error: reason });
      throw refusal(world, 'merge-failed');
    }
  });
  if (request.should_remove_source_branch ?? request.force_remove_source_branch) {
    world.background.start(`removing the branch of !${request.iid}`, () => removeSource(world, project, user, request));
  }
}

/** A merge that was run and failed, with what GitLab writes to `merge_error`. */
class MergeFailed extends GitRefused {}

function mergeErrorOf(world: World, name: string): string {
  const { answer } = findRefusal(world.release, name);
  return 'mergeError' in answer ? answer.mergeError : '';
}

/** Opens again what was locked for merging and did not get merged. */
function unlock(world: World, request: MergeRequest): void {
  if (request.state === 'locked') world.store.mergeRequests.change(request, { state: 'opened' });
}

async function mergeNow(world: World, project: Project, user: User, request: MergeRequest, wanted: MergeParams) {
  const repository = repositoryOf(world, project);
  await processNow(world, project, [`refs/heads/${request.target_branch}`]);
  const target = await branchTip(repository, request.target_branch);
  if (target === undefined) throw new GitRefused('Target branch does not exist');
  const person = { name: user.name, email: user.email };
  const squashed = squashes(project, request)
    ? await squashCommit(repository, request, person, project.merge_method === 'ff' ? target : request.base_sha, wanted)
    : undefined;
  const source = squashed ?? request.sha;
  const tip =
    project.merge_method === 'ff'
      ? await fastForward(world, repository, target, source)
      : await mergeCommit(world, repository, project, request, person, { target, source }, wanted);
  const ref = `refs/heads/${request.target_branch}`;
  await moveRefs(repository, [{ ref, from: target, to: tip }]);
  const hidden = world.faults.hiddenMergeShas(project);
  await markMerged(world, project, user, request, {
    merge_commit_sha: hidden || project.merge_method === 'ff' ? null : tip,
    squash_commit_sha: hidden ? null : (squashed ?? null),
  });
  await refsMoved(world, project, user, [{ ref, from: target, to: tip }]);
}

const notFastForward = (world: World) => new MergeFailed(mergeErrorOf(world, 'merge-not-fast-forward'));

async function fastForward(world: World, repository: string, target: string, source: string): Promise<string> {
  if (!(await isAncestor(repository, target, source))) throw notFastForward(world);
  return source;
}

/** One commit with all changes of the request; a request of one commit with that very message stays as it is. */
async function squashCommit(
  repository: string,
  request: MergeRequest,
  committer: Person,
  parent: string,
  wanted: MergeParams,
): Promise<string> {
  const commits = await readCommits(repository, [`${request.base_sha}..${request.sha}`, '--']);
  const message = wanted.squash_commit_message ?? request.title;
  const [only] = commits;
  if (commits.length === 1 && only?.message.trim() === message.trim() && only.parent_ids[0] === parent) return only.id;
  const head = await readCommit(repository, request.sha);
  const tree = await gitText(repository, ['rev-parse', `${request.sha}^{tree}`]);
  return commitTree(repository, { tree, parents: [parent], message, author: { ...head.author }, committer });
}

async function mergeCommit(
  world: World,
  repository: string,
  project: Project,
  request: MergeRequest,
  author: Person,
  sides: { target: string; source: string },
  wanted: MergeParams,
): Promise<string> {
  if (project.merge_method === 'rebase_merge' && !(await isAncestor(repository, sides.target, request.sha))) {
    throw notFastForward(world);
  }
  const merged = await mergeTrees(repository, sides.target, sides.source);
  if ('conflicts' in merged) throw new GitRefused(`conflict in ${merged.conflicts.join(', ')}`);
  const reference = `See merge request ${project.path_with_namespace}!${request.iid}`;
  const message =
    wanted.merge_commit_message ??
    `Merge branch '${request.source_branch}' into '${request.target_branch}'\n\n${request.title}\n\n${reference}`;
  return commitTree(repository, { tree: merged.tree, parents: [sides.target, sides.source], message, author });
}

async function removeSource(world: World, project: Project, user: User, request: MergeRequest): Promise<void> {
  const repository = repositoryOf(world, project);
  const { source_branch: branch } = request;
  if (protectionsOf(world, project, branch).length > 0 || !mayPush(world, user, project, branch)) return;
  await world.alone(project, async () => {
    const tip = await branchTip(repository, branch);
    // Pushed to since: GitLab keeps a branch that has more than was merged.
    if (tip === undefined || tip !== request.sha) return;
    const move = { ref: `refs/heads/${branch}`, from: tip, to: NO_COMMIT };
    await moveAndTell(world, project, user, [move]);
  });
}

/** Merging, rebasing, and what the merge would give. */
export const mergeRoutes: Route[] = [
  route('PUT', '/projects/:id/merge_requests/:iid/merge', merge),

  route('POST', '/projects/:id/merge_requests/:iid/cancel_merge_when_pipeline_succeeds', (call) => {
    const project = projectOf(call);
    const user = caller(call);
    const request = requestOf(call, project);
    if (!mayMergeInto(call.world, user, project, request.target_branch)) throw unauthorized();
    call.world.store.mergeRequests.change(request, { auto_merge: null });
    return { status: 201, body: { status: 'success' } };
  }),

  route('PUT', '/projects/:id/merge_requests/:iid/rebase', (call) => {
    const { world } = call;
    const project = projectOf(call);
    const user = caller(call);
    const request = requestOf(call, project);
    if (!mayPush(world, user, project, request.source_branch)) throw forbidden('Cannot push to source branch');
    if (protectionsOf(world, project, request.source_branch).some((rule) => !rule.allow_force_push)) {
      throw forbidden('Source branch is protected from force push');
    }
    if (request.state !== 'opened' || request.rebase_in_progress) {
      throw refuse(
        409,
        'Failed to enqueue the rebase operation, possibly due to a long-lived transaction. Try again later.',
      );
    }
    world.store.mergeRequests.change(request, { rebase_in_progress: true, merge_error: null });
    world.background.start(`rebase of !${request.iid}`, () => rebase(world, project, user, request));
    return { status: 202, body: { rebase_in_progress: true } };
  }),

  route('GET', '/projects/:id/merge_requests/:iid/merge_ref', async (call) => {
    const { world } = call;
    const project = projectOf(call);
    const request = requestOf(call, project);
    const repository = repositoryOf(world, project);
    const target = await branchTip(repository, request.target_branch);
    if (target === undefined || request.state !== 'opened') throw refuse(400, 'Merge request is not mergeable');
    const merged = await mergeTrees(repository, target, request.sha);
    if ('conflicts' in merged) throw refuse(400, 'Merge request is not mergeable');
    const author = await readCommit(repository, request.sha);
    const commit = await commitTree(repository, {
      tree: merged.tree,
      parents: [target, request.sha],
      message: `Merge ${request.sha} into ${target}`,
      // The same merge is the same commit, as often as it is asked for.
      author: author.author,
      committer: author.committer,
    });
    await moveRefs(repository, [{ ref: `refs/merge-requests/${request.iid}/merge`, to: commit }]);
    return ok({ commit_id: commit });
  }),
];
