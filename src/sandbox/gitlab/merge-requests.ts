import { z } from 'zod';
import { DEVELOPER, levelOf, MAINTAINER } from './access.ts';
import { type Call, caller, projectFor, projectOf, type Route, route, take } from './call.ts';
import { announceMergeRequest } from './events.ts';
import { branchTip, git } from './git.ts';
import { labelView } from './labels.ts';
import { requestView } from './merge-request-view.ts';
import { maybeDoubt, startCheck } from './mergeability.ts';
import { requestOf } from './notes.ts';
import { flag, ids, integer, list, type Params, text } from './params.ts';
import { visibleTip } from './pending-pushes.ts';
import { dropQuickActions } from './quick-actions.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { closeRequest, refreshDiff } from './refs.ts';
import { refusal } from './refusals.ts';
import { created, forbidden, noContent, ok, refuse, refuseInput } from './reply.ts';
import { now, repositoryOf, type World } from './world.ts';

const MAX_DESCRIPTION = 1_048_576;
const MAX_TITLE = 255;

const Optional = z.object({
  description: text.optional(),
  assignee_id: integer.optional(),
  assignee_ids: ids.optional(),
  reviewer_ids: ids.optional(),
  labels: list.optional(),
  remove_source_branch: flag.optional(),
  squash: flag.optional(),
});
const NewRequest = Optional.extend({
  title: text,
  source_branch: text,
  target_branch: text,
  target_project_id: integer.optional(),
});
const ChangedRequest = Optional.extend({
  title: text.optional(),
  target_branch: text.optional(),
  state_event: z.enum(['close', 'reopen']).optional(),
  add_labels: list.optional(),
  remove_labels: list.optional(),
  discussion_locked: flag.optional(),
});

function checkTexts(title: string | undefined, description: string | undefined): void {
  if (title?.trim() === '') throw refuse(400, { title: ["can't be blank"] });
  if ((title?.length ?? 0) > MAX_TITLE) throw refuse(400, { title: ['is too long (maximum is 255 characters)'] });
  if ((description?.length ?? 0) > MAX_DESCRIPTION) {
    throw refuse(400, { description: [`is too long (maximum is ${MAX_DESCRIPTION} characters)`] });
  }
}

/** @throws Refused 409 with `!N` when another open request goes from the same source to the same target */
function checkDuplicate(world: World, project: Project, source: string, target: string, except?: MergeRequest): void {
  const other = world.store.mergeRequests.find(
    (each) =>
      each !== except &&
      each.project_id === project.id &&
      each.state === 'opened' &&
      each.source_branch === source &&
      each.target_branch === target,
  );
  if (other !== undefined) {
    throw refusal(world, 'create-duplicate', { iid: other.iid });
  }
}

async function create(call: Call) {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const user = caller(call);
  if (project.archived) throw refusal(world, 'create-forbidden');
  const wanted = take(call, NewRequest);
  checkTexts(wanted.title, wanted.description);
  const { source_branch: source, target_branch: target } = wanted;
  if (source === target) throw refusal(world, 'create-same-branches');
  const head = await headFor(world, project, source, target);
  // Nothing is awaited between this check and the record: two calls at once cannot both pass.
  checkDuplicate(world, project, source, target);
  const request = addRequest(world, project, user, wanted, head);
  await refreshDiff(world, project, request, head);
  world.background.start(`preparing !${request.iid}`, () => prepare(world, project, user, request));
  return created(requestView(world, project, request, user));
}

/** The commit a new merge request begins with. @throws Refused when the newest does not know one of the branches */
async function headFor(world: World, project: Project, source: string, target: string): Promise<string> {
  if (world.release === 'newest') {
    const head = await visibleTip(world, project, source);
    if (head === undefined) throw refusal(world, 'create-source-unknown');
    if ((await visibleTip(world, project, target)) === undefined) throw refusal(world, 'create-target-unknown');
    return head;
  }
  // The older opens one without looking; it shows `commits_status` until the branch is known.
  const repository = repositoryOf(world, project);
  const head = (await branchTip(repository, source)) ?? (await branchTip(repository, target));
  if (head === undefined) throw refuse(400, { target_branch: ['does not exist'] });
  return head;
}

function addRequest(world: World, project: Project, user: User, wanted: z.infer<typeof NewRequest>, head: string) {
  const moment = now();
  const mine = world.store.mergeRequests.filter((each) => each.project_id === project.id);
  return world.store.mergeRequests.add({
    iid: 1 + Math.max(0, ...mine.map((each) => each.iid)),
    project_id: project.id,
    title: wanted.title,
    description: wanted.description === undefined ? null : dropQuickActions(wanted.description),
    state: 'opened',
    author_id: user.id,
    assignee_ids: assignees(wanted) ?? [],
    reviewer_ids: (wanted.reviewer_ids ?? []).filter((id) => id > 0),
    labels: wanted.labels ?? [],
    source_branch: wanted.source_branch,
    target_branch: wanted.target_branch,
    sha: head,
    base_sha: head,
    start_sha: head,
    merge_status: 'preparing',
    diverged: false,
    changed_files: null,
    merge_error: null,
    merge_commit_sha: null,
    squash_commit_sha: null,
    squash: wanted.squash ?? project.squash_option === 'default_on',
    force_remove_source_branch: wanted.remove_source_branch ?? project.remove_source_branch_after_merge,
    should_remove_source_branch: null,
    discussion_locked: null,
    auto_merge: null,
    rebase_in_progress: false,
    created_at: moment,
    updated_at: moment,
    prepared_at: null,
    merged_at: null,
    merge_user_id: null,
    closed_at: null,
    closed_by_id: null,
  });
}

function assignees(wanted: z.infer<typeof Optional>): number[] | undefined {
  const given = wanted.assignee_ids ?? (wanted.assignee_id === undefined ? undefined : [wanted.assignee_id]);
  return given?.filter((id) => id > 0);
}

/** What GitLab does in the background after a request was made: diff, first check, the `open` hook. */
export async function prepare(world: World, project: Project, user: User, request: MergeRequest): Promise<void> {
  world.store.mergeRequests.change(request, { merge_status: 'unchecked', prepared_at: now() });
  await announceMergeRequest(world, project, user, request, 'open');
  startCheck(world, request);
}

async function update(call: Call) {
  const { world } = call;
  const project = projectOf(call);
  const user = caller(call);
  const request = requestOf(call, project);
  if (levelOf(world, user, project) < DEVELOPER && request.author_id !== user.id) throw forbidden();
  const wanted = take(call, ChangedRequest);
  if (Object.values(wanted).every((value) => value === undefined)) {
    throw refuseInput(
      400,
      `${Object.keys(ChangedRequest.shape).join(', ')} are missing, at least one parameter must be provided`,
    );
  }
  checkTexts(wanted.title, wanted.description);
  if (wanted.target_branch !== undefined && wanted.target_branch !== request.target_branch) {
    if ((await visibleTip(world, project, wanted.target_branch)) === undefined) {
      throw refuse(400, { target_branch: ['does not exist'] });
    }
    checkDuplicate(world, project, request.source_branch, wanted.target_branch, request);
  }
  if (wanted.state_event === 'reopen') await reopen(world, project, user, request);
  await edit(world, project, user, request, wanted);
  if (wanted.state_event === 'close' && request.state === 'opened') await closeRequest(world, project, user, request);
  return ok(requestView(world, project, request, user));
}

/** Reopens a closed request, unless its branch is gone or another open request has taken its place. */
async function reopen(world: World, project: Project, user: User, request: MergeRequest): Promise<void> {
  if (request.state !== 'closed') return;
  checkDuplicate(world, project, request.source_branch, request.target_branch, request);
  const head = await visibleTip(world, project, request.source_branch);
  if (head === undefined) throw refuse(400, { source_branch: ['does not exist'] });
  world.store.mergeRequests.change(request, {
    state: 'opened',
    closed_at: null,
    closed_by_id: null,
    merge_status: 'unchecked',
    updated_at: now(),
  });
  if (head !== request.sha) await refreshDiff(world, project, request, head);
  startCheck(world, request);
  await announceMergeRequest(world, project, user, request, 'reopen', {
    changes: { state_id: { previous: 2, current: 1 } },
  });
}

/** Changes fields and tells about those that really changed. */
async function edit(
  world: World,
  project: Project,
  user: User,
  request: MergeRequest,
  wanted: z.infer<typeof ChangedRequest>,
): Promise<void> {
  const labels = new Set([...(wanted.labels ?? request.labels), ...(wanted.add_labels ?? [])]);
  for (const label of wanted.remove_labels ?? []) labels.delete(label);
  const fields: Partial<MergeRequest> = {
    title: wanted.title ?? request.title,
    description: wanted.description === undefined ? request.description : dropQuickActions(wanted.description),
    target_branch: wanted.target_branch ?? request.target_branch,
    labels: [...labels],
    assignee_ids: assignees(wanted) ?? request.assignee_ids,
    reviewer_ids: wanted.reviewer_ids?.filter((id) => id > 0) ?? request.reviewer_ids,
    squash: wanted.squash ?? request.squash,
    force_remove_source_branch: wanted.remove_source_branch ?? request.force_remove_source_branch,
    discussion_locked: wanted.discussion_locked ?? request.discussion_locked,
  };
  const before: Params = { ...request };
  const changed = Object.entries(fields).filter(
    ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
  );
  if (changed.length === 0) return;
  world.store.mergeRequests.change(request, { ...fields, updated_at: now() });
  if (before.target_branch !== request.target_branch) {
    await refreshDiff(world, project, request, request.sha);
    world.store.mergeRequests.change(request, { merge_status: 'unchecked' });
    world.checks.delete(request);
    startCheck(world, request);
  }
  // Hooks tell labels as objects, everything else as it is kept.
  const told = (key: string, value: unknown) =>
    key === 'labels' ? (value as string[]).map((label) => labelView(project, label)) : value;
  const changes = Object.fromEntries(
    [...changed, ['updated_at', request.updated_at] as const].map(([key, current]) => [
      key,
      { previous: told(key, before[key]), current: told(key, current) },
    ]),
  );
  await announceMergeRequest(world, project, user, request, 'update', { changes });
}

/** Merge requests apart from merging them (konflux-and-gitlab.md §4.1). */
export const mergeRequestRoutes: Route[] = [
  route('POST', '/projects/:id/merge_requests', create),

  route('GET', '/projects/:id/merge_requests/:iid', async (call) => {
    const project = projectOf(call);
    const request = requestOf(call, project);
    const wanted = take(
      call,
      z.object({ include_rebase_in_progress: flag.optional(), include_diverged_commits_count: flag.optional() }),
    );
    maybeDoubt(call.world, request);
    startCheck(call.world, request);
    const behind = wanted.include_diverged_commits_count
      ? { diverged_commits_count: await commitsBehind(call.world, project, request) }
      : {};
    return ok({
      ...requestView(call.world, project, request, call.identity?.user),
      ...(wanted.include_rebase_in_progress ? { rebase_in_progress: request.rebase_in_progress } : {}),
      ...behind,
    });
  }),

  route('PUT', '/projects/:id/merge_requests/:iid', update),

  route('DELETE', '/projects/:id/merge_requests/:iid', (call) => {
    const project = projectFor(call, MAINTAINER);
    call.world.store.mergeRequests.remove(requestOf(call, project));
    return noContent();
  }),
];

async function commitsBehind(world: World, project: Project, request: MergeRequest): Promise<number> {
  const range = `${request.sha}..refs/heads/${request.target_branch}`;
  const { stdout } = await git(repositoryOf(world, project), ['rev-list', '--count', range]);
  return Number(stdout.toString().trim() || 0);
}
