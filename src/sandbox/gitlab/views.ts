import { createHash } from 'node:crypto';
import { ancestry, levelOf } from './access.ts';
import type { Commit } from './history.ts';
import type { Group, Hook, Member, Note, Pipeline, Project, Status, Token, User } from './records.ts';
import type { World } from './world.ts';

/** The JSON of answers. One function per entity of GitLab's API. */

const VISIBILITY_LEVEL = { private: 0, internal: 10, public: 20 };

export const userView = (world: World, user: User) => ({
  id: user.id,
  username: user.username,
  name: user.name,
  state: 'active',
  locked: false,
  avatar_url: avatar(user),
  web_url: `${world.url}/${user.username}`,
});

const avatar = (user: User) =>
  `https://www.gravatar.com/avatar/${createHash('md5').update(user.email).digest('hex')}?s=80&d=identicon`;

/** The author of something; never missing, users are not deleted here. */
export const userById = (world: World, id: number) => {
  const user = world.store.users.get(id);
  return user === undefined ? null : userView(world, user);
};

export const ownUserView = (world: World, user: User) => ({
  ...userView(world, user),
  created_at: user.created_at,
  bot: user.bot,
  email: user.email,
  public_email: user.email,
  commit_email: user.email,
  is_admin: user.is_admin,
  confirmed_at: user.created_at,
  external: false,
  private_profile: false,
  can_create_group: true,
  can_create_project: true,
  two_factor_enabled: false,
  identities: [],
});

export const tokenView = (token: Token) => ({
  id: token.id,
  name: token.name,
  revoked: token.revoked,
  created_at: token.created_at,
  description: null,
  scopes: token.scopes,
  user_id: token.user_id,
  last_used_at: null,
  active: !token.revoked && (token.expires_at === null || Date.parse(token.expires_at) > Date.now()),
  expires_at: token.expires_at,
});

export const memberView = (world: World, member: Member) => ({
  ...userById(world, member.user_id),
  access_level: member.access_level,
  created_at: member.created_at,
  expires_at: member.expires_at,
  membership_state: 'active',
});

export const namespaceView = (world: World, group: Group) => ({
  id: group.id,
  name: group.name,
  path: group.path,
  kind: group.kind,
  full_path: group.full_path,
  parent_id: group.parent_id,
  avatar_url: null,
  web_url: group.kind === 'user' ? `${world.url}/${group.path}` : `${world.url}/groups/${group.full_path}`,
});

export const groupView = (world: World, group: Group) => ({
  ...namespaceView(world, group),
  description: '',
  visibility: group.visibility,
  full_name: fullName(world, group),
  created_at: group.created_at,
  project_creation_level: 'developer',
  subgroup_creation_level: 'maintainer',
});

const fullName = (world: World, group: Group) =>
  ancestry(world, group.id)
    .map((each) => each.name)
    .reverse()
    .join(' / ');

export const webUrl = (world: World, project: Project) => `${world.url}/${project.path_with_namespace}`;

export function projectView(world: World, project: Project, viewer: User | undefined) {
  const namespace = world.store.groups.get(project.namespace_id);
  const address = webUrl(world, project);
  const level = levelOf(world, viewer, project);
  const host = new URL(world.url).hostname;
  return {
    id: project.id,
    description: project.description,
    name: project.name,
    name_with_namespace: namespace === undefined ? project.name : `${fullName(world, namespace)} / ${project.name}`,
    path: project.path,
    path_with_namespace: project.path_with_namespace,
    created_at: project.created_at,
    default_branch: project.default_branch,
    tag_list: [],
    topics: [],
    ssh_url_to_repo: `git@${host}:${project.path_with_namespace}.git`,
    http_url_to_repo: `${address}.git`,
    web_url: address,
    readme_url: null,
    forks_count: 0,
    avatar_url: null,
    star_count: 0,
    last_activity_at: project.last_activity_at,
    visibility: project.visibility,
    namespace: namespace === undefined ? null : namespaceView(world, namespace),
    _links: { self: `${world.url}/api/v4/projects/${project.id}` },
    empty_repo: project.default_branch === null,
    archived: project.archived,
    creator_id: project.creator_id,
    import_status: 'none',
    merge_requests_enabled: true,
    issues_enabled: true,
    jobs_enabled: true,
    shared_runners_enabled: false,
    can_create_merge_request_in: level >= 30,
    merge_method: project.merge_method,
    squash_option: project.squash_option,
    only_allow_merge_if_pipeline_succeeds: project.only_allow_merge_if_pipeline_succeeds,
    allow_merge_on_skipped_pipeline: project.allow_merge_on_skipped_pipeline,
    only_allow_merge_if_all_discussions_are_resolved: project.only_allow_merge_if_all_discussions_are_resolved,
    remove_source_branch_after_merge: project.remove_source_branch_after_merge,
    permissions: {
      project_access: level > 0 ? { access_level: level, notification_level: 3 } : null,
      group_access: null,
    },
  };
}

/** The project as hooks describe it; `source` and `target` of a merge request are the same shape. */
export function projectHookView(world: World, project: Project) {
  const address = webUrl(world, project);
  const namespace = world.store.groups.get(project.namespace_id);
  const ssh = `git@${new URL(world.url).hostname}:${project.path_with_namespace}.git`;
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    web_url: address,
    avatar_url: null,
    git_ssh_url: ssh,
    git_http_url: `${address}.git`,
    namespace: namespace?.name ?? '',
    visibility_level: VISIBILITY_LEVEL[project.visibility],
    path_with_namespace: project.path_with_namespace,
    default_branch: project.default_branch,
    ci_config_path: null,
    homepage: address,
    url: ssh,
    ssh_url: ssh,
    http_url: `${address}.git`,
  };
}

/** git's strict ISO moment with the milliseconds GitLab adds. */
const withMillis = (moment: string) => moment.replace(/(\d\d:\d\d:\d\d)(Z|[+-])/, '$1.000$2');

export const commitUrl = (world: World, project: Project, sha: string) => `${webUrl(world, project)}/-/commit/${sha}`;

export const commitView = (world: World, project: Project, commit: Commit) => ({
  id: commit.id,
  short_id: commit.id.slice(0, 8),
  created_at: withMillis(commit.committer.date),
  parent_ids: commit.parent_ids,
  title: commit.title,
  message: commit.message,
  author_name: commit.author.name,
  author_email: commit.author.email,
  authored_date: withMillis(commit.author.date),
  committer_name: commit.committer.name,
  committer_email: commit.committer.email,
  committed_date: withMillis(commit.committer.date),
  trailers: {},
  extended_trailers: {},
  web_url: commitUrl(world, project, commit.id),
});

export const commitHookView = (world: World, project: Project, commit: Commit) => ({
  id: commit.id,
  message: commit.message,
  title: commit.title,
  timestamp: commit.committer.date,
  url: commitUrl(world, project, commit.id),
  author: { name: commit.author.name, email: commit.author.email },
});

/** The hook without its secret, which GitLab never shows again. */
export function hookView(hook: Hook) {
  const { token: _token, uuid: _uuid, ...shown } = hook;
  return {
    ...shown,
    description: '',
    issues_events: false,
    confidential_issues_events: false,
    job_events: false,
    pipeline_events: false,
    wiki_page_events: false,
    deployment_events: false,
    releases_events: false,
    repository_update_events: false,
    alert_status: 'executable',
    disabled_until: null,
    url_variables: [],
    custom_webhook_template: '',
    custom_headers: [],
  };
}

export const noteView = (world: World, note: Note) => {
  const request = note.merge_request_id === null ? undefined : world.store.mergeRequests.get(note.merge_request_id);
  return {
    id: note.id,
    type: note.resolvable ? 'DiscussionNote' : null,
    body: note.body,
    attachment: null,
    author: userById(world, note.author_id),
    created_at: note.created_at,
    updated_at: note.updated_at,
    system: note.system,
    noteable_id: note.merge_request_id,
    noteable_type: request === undefined ? 'Commit' : 'MergeRequest',
    project_id: note.project_id,
    commit_id: note.commit_id,
    resolvable: note.resolvable,
    ...(note.resolvable ? { resolved: note.resolved, resolved_by: null, resolved_at: null } : {}),
    confidential: false,
    internal: false,
    imported: false,
    imported_from: 'none',
    noteable_iid: request?.iid ?? null,
    commands_changes: {},
  };
};

export const statusView = (world: World, status: Status) => ({
  id: status.id,
  sha: status.sha,
  ref: status.ref,
  status: status.status,
  name: status.name,
  target_url: status.target_url,
  description: status.description,
  created_at: status.created_at,
  started_at: status.started_at,
  finished_at: status.finished_at,
  allow_failure: false,
  coverage: status.coverage,
  pipeline_id: status.pipeline_id,
  author: userById(world, status.author_id),
});

export const pipelineView = (world: World, project: Project, pipeline: Pipeline, status: string) => ({
  id: pipeline.id,
  iid: pipeline.iid,
  project_id: pipeline.project_id,
  sha: pipeline.sha,
  ref: pipeline.ref,
  status,
  source: 'external',
  created_at: pipeline.created_at,
  updated_at: pipeline.updated_at,
  web_url: `${webUrl(world, project)}/-/pipelines/${pipeline.id}`,
});
