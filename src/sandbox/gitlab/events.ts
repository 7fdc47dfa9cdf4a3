import { GitRefused, gitText, NO_COMMIT } from './git.ts';
import { type Commit, readChangedPaths, readCommit, readCommits } from './history.ts';
import { sendHooks } from './hooks.ts';
import { labelView } from './labels.ts';
import { detailedStatus, isDraft, mergeStatus } from './mergeability.ts';
import type { MergeRequest, Note, Project, User } from './records.ts';
import { commitHookView, projectHookView, userView, webUrl } from './views.ts';
import { repositoryOf, type World } from './world.ts';

/** Bodies of hooks: konflux-and-gitlab.md §4.5, real-cluster.md §5.2. */

/** A hook lists at most so many commits. */
const LISTED_COMMITS = 20;
/** A push that touches more branches (or tags) sends no hook at all. */
const LOUD_REFS = 3;

export interface RefMove {
  ref: string;
  from: string;
  to: string;
}

const hookUser = (world: World, user: User) => {
  const { id, name, username, avatar_url } = userView(world, user);
  return { id, name, username, avatar_url, email: '[REDACTED]' };
};

const repositoryPart = (world: World, project: Project) => {
  const { name, url, description, homepage, git_http_url, git_ssh_url, visibility_level } = projectHookView(
    world,
    project,
  );
  return { name, url, description, homepage, git_http_url, git_ssh_url, visibility_level };
};

/** Tells about moved branches and tags. */
export async function announcePush(world: World, project: Project, user: User, moves: RefMove[]): Promise<void> {
  for (const [prefix, event, kind] of [
    ['refs/heads/', 'Push Hook', 'push'],
    ['refs/tags/', 'Tag Push Hook', 'tag_push'],
  ] as const) {
    const mine = moves.filter((move) => move.ref.startsWith(prefix));
    if (mine.length > LOUD_REFS) continue;
    for (const move of mine) sendHooks(world, project, event, await pushBody(world, project, user, move, kind));
  }
}

async function pushBody(world: World, project: Project, user: User, { ref, from, to }: RefMove, kind: string) {
  const repository = repositoryOf(world, project);
  const { shas, total } =
    kind === 'push' ? await pushedCommits(world, project, { ref, from, to }) : { shas: [], total: 0 };
  const commits: Commit[] = [];
  for (const sha of shas) commits.push(await readCommit(repository, sha));
  const listed = [];
  for (const commit of commits) {
    listed.push({ ...commitHookView(world, project, commit), ...(await readChangedPaths(repository, commit)) });
  }
  const { avatar_url } = userView(world, user);
  return {
    object_kind: kind,
    event_name: kind,
    before: from,
    after: to,
    ref,
    ref_protected:
      world.store.protectedBranches.find(
        (rule) => rule.project_id === project.id && ref === `refs/heads/${rule.name}`,
      ) !== undefined,
    checkout_sha: to === NO_COMMIT ? null : await peeled(repository, to),
    message: null,
    user_id: user.id,
    user_name: user.name,
    user_username: user.username,
    user_email: '',
    user_avatar: avatar_url,
    project_id: project.id,
    project: projectHookView(world, project),
    commits: listed,
    total_commits_count: total,
    push_options: {},
    repository: repositoryPart(world, project),
  };
}

const peeled = (repository: string, sha: string) => gitText(repository, ['rev-parse', `${sha}^{commit}`]);

/** What the push brought, oldest first; a new branch without commits of its own brings none. */
async function pushedCommits(world: World, project: Project, { ref, from, to }: RefMove) {
  if (to === NO_COMMIT) return { shas: [], total: 0 };
  const repository = repositoryOf(world, project);
  const range = [to];
  const isDefault = ref === `refs/heads/${project.default_branch}`;
  if (from !== NO_COMMIT) range.push(`^${from}`);
  else if (!isDefault && project.default_branch !== null) range.push(`^refs/heads/${project.default_branch}`);
  try {
    const out = await gitText(repository, ['rev-list', '--topo-order', ...range, '--']);
    const shas = out.split('\n').filter(Boolean);
    return { shas: shas.slice(0, LISTED_COMMITS).reverse(), total: shas.length };
  } catch (thrown) {
    // The commit the branch stood at may be gone from the repository after a forced push.
    if (thrown instanceof GitRefused) return { shas: [to], total: 1 };
    throw thrown;
  }
}

export type MergeRequestAction = 'open' | 'close' | 'reopen' | 'update' | 'merge';

/** Tells about a merge request. `oldrev` is given when new commits came. */
export async function announceMergeRequest(
  world: World,
  project: Project,
  user: User,
  request: MergeRequest,
  action: MergeRequestAction,
  more: { oldrev?: string; changes?: Record<string, unknown> } = {},
): Promise<void> {
  const { oldrev, changes = {} } = more;
  sendHooks(world, project, 'Merge Request Hook', {
    object_kind: 'merge_request',
    event_type: 'merge_request',
    user: hookUser(world, user),
    project: projectHookView(world, project),
    object_attributes: {
      ...(await mergeRequestAttributes(world, project, request)),
      action,
      ...(oldrev === undefined ? {} : { oldrev }),
    },
    labels: request.labels.map((label) => labelView(project, label)),
    changes,
    repository: repositoryPart(world, project),
    ...people(world, request),
  });
}

function people(world: World, request: MergeRequest) {
  const known = (ids: number[]) =>
    ids.flatMap((id) => {
      const user = world.store.users.get(id);
      return user === undefined ? [] : [hookUser(world, user)];
    });
  return {
    ...(request.assignee_ids.length > 0 ? { assignees: known(request.assignee_ids) } : {}),
    ...(request.reviewer_ids.length > 0 ? { reviewers: known(request.reviewer_ids) } : {}),
  };
}

async function mergeRequestAttributes(world: World, project: Project, request: MergeRequest) {
  const [head] = await readCommits(repositoryOf(world, project), ['-1', request.sha, '--']);
  const side = projectHookView(world, project);
  return {
    id: request.id,
    iid: request.iid,
    title: request.title,
    description: request.description,
    author_id: request.author_id,
    assignee_id: request.assignee_ids[0] ?? null,
    assignee_ids: request.assignee_ids,
    reviewer_ids: request.reviewer_ids,
    source_branch: request.source_branch,
    source_project_id: request.project_id,
    target_branch: request.target_branch,
    target_project_id: request.project_id,
    state: request.state,
    state_id: { opened: 1, closed: 2, merged: 3, locked: 4 }[request.state],
    merge_status: mergeStatus(request),
    detailed_merge_status: detailedStatus(world, project, request),
    merge_error: request.merge_error,
    merge_commit_sha: request.merge_commit_sha,
    squash_commit_sha: request.squash_commit_sha,
    merge_user_id: request.merge_user_id,
    merge_when_pipeline_succeeds: request.auto_merge !== null,
    merge_params: { force_remove_source_branch: request.force_remove_source_branch === true ? '1' : '0' },
    head_pipeline_id: null,
    milestone_id: null,
    blocking_discussions_resolved: true,
    first_contribution: false,
    draft: isDraft(request),
    work_in_progress: isDraft(request),
    labels: request.labels.map((label) => labelView(project, label)),
    last_commit: head === undefined ? null : commitHookView(world, project, head),
    source: side,
    target: side,
    url: `${webUrl(world, project)}/-/merge_requests/${request.iid}`,
    created_at: request.created_at,
    updated_at: request.updated_at,
    prepared_at: request.prepared_at,
    last_edited_at: null,
    last_edited_by_id: null,
    updated_by_id: null,
    time_estimate: 0,
    total_time_spent: 0,
    time_change: 0,
    human_total_time_spent: null,
    human_time_change: null,
    human_time_estimate: null,
  };
}

/** Tells about a comment on a merge request or a commit. System notes are not told. */
export async function announceNote(
  world: World,
  project: Project,
  user: User,
  note: Note,
  action: 'create' | 'update',
): Promise<void> {
  if (note.system) return;
  const request = note.merge_request_id === null ? undefined : world.store.mergeRequests.get(note.merge_request_id);
  const anchor =
    request === undefined
      ? `${webUrl(world, project)}/-/commit/${note.commit_id}`
      : `${webUrl(world, project)}/-/merge_requests/${request.iid}`;
  sendHooks(world, project, 'Note Hook', {
    object_kind: 'note',
    event_type: 'note',
    user: hookUser(world, user),
    project_id: project.id,
    project: projectHookView(world, project),
    object_attributes: {
      id: note.id,
      note: note.body,
      description: note.body,
      noteable_type: request === undefined ? 'Commit' : 'MergeRequest',
      noteable_id: note.merge_request_id,
      author_id: note.author_id,
      project_id: project.id,
      commit_id: note.commit_id,
      discussion_id: note.discussion_id,
      type: note.resolvable ? 'DiscussionNote' : null,
      system: note.system,
      internal: false,
      line_code: null,
      st_diff: null,
      attachment: null,
      position: null,
      created_at: note.created_at,
      updated_at: note.updated_at,
      action,
      url: `${anchor}#note_${note.id}`,
    },
    repository: repositoryPart(world, project),
    ...(request === undefined
      ? { commit: await noteCommit(world, project, note) }
      : { merge_request: await mergeRequestAttributes(world, project, request) }),
  });
}

async function noteCommit(world: World, project: Project, note: Note) {
  const commit = await readCommit(repositoryOf(world, project), note.commit_id ?? '');
  return commitHookView(world, project, commit);
}
