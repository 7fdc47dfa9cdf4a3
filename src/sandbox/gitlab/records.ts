import { z } from 'zod';

/**
 * What the imitation keeps. Field names are GitLab's own, so that an answer is a record plus what is derived from it
 * (konflux-and-gitlab.md §4).
 */
const id = z.number();
const text = z.string();
const moment = z.string();
const maybe = <T extends z.ZodType>(type: T) => type.nullable();

export const User = z.object({
  id,
  username: text,
  name: text,
  email: text,
  is_admin: z.boolean(),
  bot: z.boolean(),
  created_at: moment,
});
export type User = z.infer<typeof User>;

/** Tokens are kept as SHA-256, as GitLab keeps them: the value is shown once. */
export const Token = z.object({
  id,
  hash: text,
  user_id: id,
  name: text,
  scopes: z.array(text),
  expires_at: maybe(text),
  revoked: z.boolean(),
  created_at: moment,
});
export type Token = z.infer<typeof Token>;

export const Group = z.object({
  id,
  name: text,
  path: text,
  full_path: text,
  parent_id: maybe(id),
  visibility: text,
  /** A user's own namespace is a group of kind `user`. */
  kind: z.enum(['group', 'user']),
  created_at: moment,
});
export type Group = z.infer<typeof Group>;

export const MERGE_METHODS = ['merge', 'rebase_merge', 'ff'] as const;
export const SQUASH_OPTIONS = ['never', 'always', 'default_on', 'default_off'] as const;

/** What `PUT /projects/:id` may change. */
export const ProjectSettings = z.object({
  description: maybe(text),
  visibility: z.enum(['private', 'internal', 'public']),
  default_branch: maybe(text),
  merge_method: z.enum(MERGE_METHODS),
  squash_option: z.enum(SQUASH_OPTIONS),
  only_allow_merge_if_pipeline_succeeds: z.boolean(),
  only_allow_merge_if_all_discussions_are_resolved: z.boolean(),
  allow_merge_on_skipped_pipeline: z.boolean(),
  remove_source_branch_after_merge: z.boolean(),
  archived: z.boolean(),
});
export const Project = ProjectSettings.extend({
  id,
  name: text,
  path: text,
  namespace_id: id,
  path_with_namespace: text,
  creator_id: id,
  created_at: moment,
  last_activity_at: moment,
});
export type Project = z.infer<typeof Project>;

export const Member = z.object({
  id,
  source: z.enum(['group', 'project']),
  source_id: id,
  user_id: id,
  access_level: z.number(),
  expires_at: maybe(text),
  created_at: moment,
});
export type Member = z.infer<typeof Member>;

export const HOOK_EVENTS = ['push_events', 'tag_push_events', 'merge_requests_events', 'note_events'] as const;
export const Hook = z.object({
  id,
  project_id: id,
  url: text,
  name: maybe(text),
  token: maybe(text),
  uuid: text,
  push_events: z.boolean(),
  push_events_branch_filter: text,
  tag_push_events: z.boolean(),
  merge_requests_events: z.boolean(),
  note_events: z.boolean(),
  enable_ssl_verification: z.boolean(),
  created_at: moment,
});
export type Hook = z.infer<typeof Hook>;

export const ProtectedBranch = z.object({
  id,
  project_id: id,
  name: text,
  /** 0 nobody, 30 developers and maintainers, 40 maintainers. */
  push_level: z.number(),
  merge_level: z.number(),
  allow_force_push: z.boolean(),
});
export type ProtectedBranch = z.infer<typeof ProtectedBranch>;

export const MERGE_STATUSES = [
  'preparing',
  'unchecked',
  'checking',
  'can_be_merged',
  'cannot_be_merged',
  'cannot_be_merged_recheck',
] as const;
export const MergeRequest = z.object({
  id,
  iid: id,
  project_id: id,
  title: text,
  description: maybe(text),
  state: z.enum(['opened', 'closed', 'locked', 'merged']),
  author_id: id,
  assignee_ids: z.array(id),
  reviewer_ids: z.array(id),
  labels: z.array(text),
  source_branch: text,
  target_branch: text,
  sha: text,
  base_sha: text,
  start_sha: text,
  merge_status: z.enum(MERGE_STATUSES),
  /** The target has commits that the source lacks; as of the last check. */
  diverged: z.boolean(),
  /** How many files differ; null until the diff was prepared. */
  changed_files: maybe(z.number()),
  merge_error: maybe(text),
  merge_commit_sha: maybe(text),
  squash_commit_sha: maybe(text),
  squash: z.boolean(),
  force_remove_source_branch: maybe(z.boolean()),
  should_remove_source_branch: maybe(z.boolean()),
  discussion_locked: maybe(z.boolean()),
  auto_merge: maybe(z.object({ user_id: id, squash: z.boolean(), sha: text })),
  rebase_in_progress: z.boolean(),
  created_at: moment,
  updated_at: moment,
  prepared_at: maybe(moment),
  merged_at: maybe(moment),
  merge_user_id: maybe(id),
  closed_at: maybe(moment),
  closed_by_id: maybe(id),
});
export type MergeRequest = z.infer<typeof MergeRequest>;

export const Note = z.object({
  id,
  project_id: id,
  /** The merge request's id, or null for a note on a commit. */
  merge_request_id: maybe(id),
  commit_id: maybe(text),
  discussion_id: text,
  /** Notes of a thread can be resolved; single notes cannot. */
  resolvable: z.boolean(),
  resolved: z.boolean(),
  body: text,
  author_id: id,
  system: z.boolean(),
  created_at: moment,
  updated_at: moment,
});
export type Note = z.infer<typeof Note>;

export const STATUS_STATES = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'] as const;
export const Status = z.object({
  id,
  project_id: id,
  pipeline_id: id,
  sha: text,
  ref: text,
  status: z.enum(STATUS_STATES),
  name: text,
  target_url: maybe(text),
  description: maybe(text),
  coverage: maybe(z.number()),
  author_id: id,
  created_at: moment,
  started_at: maybe(moment),
  finished_at: maybe(moment),
});
export type Status = z.infer<typeof Status>;

export const Pipeline = z.object({
  id,
  iid: id,
  project_id: id,
  sha: text,
  ref: text,
  user_id: id,
  created_at: moment,
  updated_at: moment,
});
export type Pipeline = z.infer<typeof Pipeline>;

/** A push that git has carried out and REST does not know yet. */
export const PendingPush = z.object({
  id,
  project_id: id,
  user_id: id,
  moves: z.array(z.object({ ref: text, from: text, to: text })),
  /** When it is processed: milliseconds since 1970. */
  due: z.number(),
});
export type PendingPush = z.infer<typeof PendingPush>;
