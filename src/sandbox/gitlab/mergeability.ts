import { branchTip, isAncestor, mergeTrees } from './git.ts';
import { isUnknownYet } from './pending-pushes.ts';
import { headPipeline, pipelineStatus } from './pipelines.ts';
import type { MergeRequest, Project } from './records.ts';
import { repositoryOf, type World } from './world.ts';

/** `Draft:`, `[Draft]`, `(Draft)` at the beginning of the title. */
export const isDraft = (request: MergeRequest): boolean => /^\s*(\[draft\]|\(draft\)|draft:)/i.test(request.title);

/** The deprecated `merge_status`; preparing is told as checking. */
export const mergeStatus = (request: MergeRequest): string =>
  request.merge_status === 'preparing' ? 'checking' : request.merge_status;

/** Why the request cannot be merged apart from git, in the order GitLab checks; undefined when nothing is in the way. */
function blocker(world: World, project: Project, request: MergeRequest): string | undefined {
  if (request.state !== 'opened') return 'not_open';
  if (request.merge_status === 'preparing') return 'preparing';
  if (request.merge_status === 'checking') return 'checking';
  if (request.merge_status === 'unchecked' || request.merge_status === 'cannot_be_merged_recheck') return 'unchecked';
  if (isDraft(request)) return 'draft_status';
  if (request.sha === request.base_sha || isUnknownYet(world, project, request.source_branch)) return 'commits_status';
  if (project.only_allow_merge_if_all_discussions_are_resolved && unresolved(world, request)) {
    return 'discussions_not_resolved';
  }
  return undefined;
}

/** Conflict, or a rebase that the merge method asks for. */
function gitBlocker(project: Project, request: MergeRequest): string | undefined {
  if (request.merge_status === 'cannot_be_merged') return 'conflict';
  return project.merge_method !== 'merge' && request.diverged ? 'need_rebase' : undefined;
}

function ciBlocker(world: World, project: Project, request: MergeRequest): string | undefined {
  if (!project.only_allow_merge_if_pipeline_succeeds) return undefined;
  const pipeline = headPipeline(world, project, request.sha);
  const status = pipeline === undefined ? undefined : pipelineStatus(world, pipeline);
  if (status === 'success' || (status === 'skipped' && project.allow_merge_on_skipped_pipeline)) return undefined;
  return status === 'running' || status === 'pending' ? 'ci_still_running' : 'ci_must_pass';
}

/** Threads nobody has resolved yet. */
export function unresolved(world: World, request: MergeRequest): boolean {
  return (
    world.store.notes.find((note) => note.merge_request_id === request.id && note.resolvable && !note.resolved) !==
    undefined
  );
}

/** `detailed_merge_status` (konflux-and-gitlab.md §4.1): the first thing in the way, or `mergeable`. */
export const detailedStatus = (world: World, project: Project, request: MergeRequest): string =>
  blocker(world, project, request) ?? gitBlocker(project, request) ?? ciBlocker(world, project, request) ?? 'mergeable';

/** What `PUT …/merge` looks at: `state` gives 405, `git` gives 422; CI alone may be waited for by auto-merge. */
export function obstacles(world: World, project: Project, request: MergeRequest) {
  return {
    state: blocker(world, project, request),
    ci: ciBlocker(world, project, request),
    git: gitBlocker(project, request),
  };
}

/** What was found out is stale: the source or the target has moved. */
export function markUnchecked(world: World, request: MergeRequest): void {
  world.checks.delete(request);
  if (request.state !== 'opened' || request.merge_status === 'preparing') return;
  const stale = request.merge_status === 'cannot_be_merged' ? 'cannot_be_merged_recheck' : 'unchecked';
  world.store.mergeRequests.change(request, { merge_status: stale });
}

/** Now and then GitLab checks anew what it knows already: what could be merged is `checking` again. */
export function maybeDoubt(world: World, request: MergeRequest): void {
  if (request.merge_status === 'can_be_merged' && world.doubts()) markUnchecked(world, request);
}

const STALE = ['unchecked', 'cannot_be_merged_recheck'];

/** Begins to find out whether the request can be merged, unless that is known or under way. */
export function startCheck(world: World, request: MergeRequest): void {
  if (request.state !== 'opened' || !STALE.includes(request.merge_status)) return;
  world.store.mergeRequests.change(request, { merge_status: 'checking' });
  runCheck(world, request);
}

/** Goes on with checks that were stuck, or under way when the server was stopped. */
export function resumeChecks(world: World): void {
  for (const request of world.store.mergeRequests.filter((each) => each.merge_status === 'checking')) {
    runCheck(world, request);
  }
}

function runCheck(world: World, request: MergeRequest): void {
  const project = world.store.projects.get(request.project_id);
  if (project === undefined || world.checks.has(request)) return;
  const mine = Symbol(`!${request.iid}`);
  world.checks.set(request, mine);
  world.background.start(`mergeability of !${request.iid}`, async () => {
    const found = world.faults.stuck(project) ? {} : await examine(world, project, request);
    // When the source or target has moved meanwhile, what was found is about something else.
    if (world.checks.get(request) !== mine) return;
    world.checks.delete(request);
    if (request.state === 'opened') world.store.mergeRequests.change(request, found);
  });
}

async function examine(world: World, project: Project, request: MergeRequest) {
  const repository = repositoryOf(world, project);
  const target = await branchTip(repository, request.target_branch);
  if (target === undefined) return { merge_status: 'cannot_be_merged', diverged: true } as const;
  const diverged = !(await isAncestor(repository, target, request.sha));
  const merged = diverged ? await mergeTrees(repository, target, request.sha) : { tree: '' };
  return { merge_status: 'conflicts' in merged ? 'cannot_be_merged' : 'can_be_merged', diverged } as const;
}
