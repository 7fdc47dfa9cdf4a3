import { z } from 'zod';
import { type Command, readCommand } from './comment.ts';

/** What a hook tells, in one shape for all kinds (konflux-and-gitlab.md §1.1, real-cluster.md §5.2). */
export interface Event {
  trigger: 'pull_request' | 'push';
  /** Annotation `event-type`. */
  eventType: string;
  sha: string;
  shaTitle: string;
  shaUrl: string;
  /** Whole message of the head commit as far as the hook carries it. */
  message: string;
  /** Source branch; for a push the full ref. */
  headBranch: string;
  /** Target branch; for a push the full ref. */
  baseBranch: string;
  /** `web_url` of the project the merge request is for; equals the Repository's `spec.url`. */
  repoUrl: string;
  sourceUrl: string;
  sourceProjectId: number;
  targetProjectId: number;
  /** `group/sub/project` of the target. */
  projectPath: string;
  defaultBranch: string;
  sender: string;
  senderId: number;
  title: string;
  /** Of the merge request; absent for pushes. */
  iid: number | undefined;
  labels: string[];
  closing: boolean;
  command: Command | undefined;
  comment: string;
  body: unknown;
}

const Project = z.object({
  id: z.number(),
  web_url: z.string(),
  default_branch: z.string().nullish(),
  path_with_namespace: z.string().optional(),
});
const Commit = z.object({
  id: z.string(),
  url: z.string().default(''),
  title: z.string().default(''),
  message: z.string().default(''),
});
const Side = z.object({ web_url: z.string(), path_with_namespace: z.string().default('') });
const User = z.object({ id: z.number(), username: z.string() });

const MergeRequestHook = z.object({
  user: User,
  project: Project,
  labels: z.array(z.object({ title: z.string() })).nullish(),
  changes: z.record(z.string(), z.unknown()).nullish(),
  object_attributes: z.object({
    action: z.string().optional(),
    oldrev: z.string().nullish(),
    iid: z.number(),
    title: z.string().default(''),
    source_branch: z.string(),
    target_branch: z.string(),
    source_project_id: z.number(),
    target_project_id: z.number(),
    last_commit: Commit,
    source: Side,
    target: Side,
  }),
});

const NoteHook = z.object({
  user: User,
  project: Project,
  object_attributes: z.object({ note: z.string(), noteable_type: z.string().optional() }),
  merge_request: MergeRequestHook.shape.object_attributes.extend({ state: z.string() }).optional(),
});

const PushHook = z.object({
  ref: z.string(),
  user_id: z.number(),
  user_username: z.string().default(''),
  project_id: z.number(),
  project: Project,
  commits: z.array(Commit).nullish(),
});

export type Reading = { event: Event } | { skip: string } | { error: string };

const SKIPPED = { skip: 'skipping non supported event' } as const;

/** Reads a GitLab hook: an event to act on, one to skip, or one that is an error in the log and nothing else. */
export function readHook(kind: string | undefined, body: unknown): Reading {
  if (kind === 'Merge Request Hook') return readMergeRequest(body);
  if (kind === 'Note Hook') return readNote(body);
  if (kind === 'Push Hook' || kind === 'Tag Push Hook') return readPush(kind, body);
  return SKIPPED;
}

const unreadable = (error: z.ZodError): Reading => ({ error: `cannot parse hook: ${z.prettifyError(error)}` });

function readMergeRequest(body: unknown): Reading {
  const parsed = MergeRequestHook.safeParse(body);
  if (!parsed.success) return unreadable(parsed.error);
  const { user, project, object_attributes: mr, labels, changes } = parsed.data;
  const changed = Object.keys(changes ?? {}).filter((field) => !['updated_at', 'updated_by_id'].includes(field));
  const labelled = mr.action === 'update' && changed.length === 1 && changed[0] === 'labels';
  const acted =
    ['open', 'reopen', 'close'].includes(mr.action ?? '') || (mr.action === 'update' && (mr.oldrev || labelled));
  if (!acted) return SKIPPED;
  return {
    event: {
      ...fromMergeRequest(mr, project, user),
      eventType: labelled && !mr.oldrev ? 'pull_request_labeled' : 'Merge Request',
      labels: (labels ?? []).map(({ title }) => title),
      closing: mr.action === 'close',
      command: undefined,
      comment: '',
      body,
    },
  };
}

function readNote(body: unknown): Reading {
  const parsed = NoteHook.safeParse(body);
  if (!parsed.success) return unreadable(parsed.error);
  const { user, project, merge_request: mr, object_attributes } = parsed.data;
  const command = readCommand(object_attributes.note);
  if (mr?.state !== 'opened') return SKIPPED;
  return {
    event: {
      ...fromMergeRequest(mr, project, user),
      eventType: command?.eventType ?? 'on-comment',
      labels: [],
      closing: false,
      command,
      comment: object_attributes.note,
      body,
    },
  };
}

function fromMergeRequest(
  mr: z.infer<typeof MergeRequestHook>['object_attributes'],
  project: z.infer<typeof Project>,
  user: z.infer<typeof User>,
) {
  return {
    trigger: 'pull_request' as const,
    sha: mr.last_commit.id,
    shaTitle: mr.last_commit.title || (mr.last_commit.message.split('\n')[0] ?? ''),
    shaUrl: mr.last_commit.url,
    message: mr.last_commit.message,
    headBranch: mr.source_branch,
    baseBranch: mr.target_branch,
    repoUrl: mr.target.web_url,
    sourceUrl: mr.source.web_url,
    sourceProjectId: mr.source_project_id,
    targetProjectId: mr.target_project_id,
    projectPath: mr.target.path_with_namespace || (project.path_with_namespace ?? ''),
    defaultBranch: project.default_branch ?? 'main',
    sender: user.username,
    senderId: user.id,
    title: mr.title,
    iid: mr.iid,
  };
}

function readPush(kind: 'Push Hook' | 'Tag Push Hook', body: unknown): Reading {
  const parsed = PushHook.safeParse(body);
  if (!parsed.success) return unreadable(parsed.error);
  const { ref, commits, project, project_id: projectId, user_id: senderId, user_username: sender } = parsed.data;
  const head = commits?.at(-1);
  if (!head) return { error: 'no commits attached to this push event' };
  return {
    event: {
      trigger: 'push',
      eventType: kind === 'Push Hook' ? 'push' : 'Tag Push',
      sha: head.id,
      shaTitle: head.title,
      shaUrl: head.url,
      message: head.message,
      headBranch: ref,
      baseBranch: ref,
      repoUrl: project.web_url,
      sourceUrl: project.web_url,
      sourceProjectId: projectId,
      targetProjectId: projectId,
      projectPath: project.path_with_namespace ?? '',
      defaultBranch: project.default_branch ?? 'main',
      sender,
      senderId,
      title: head.title,
      iid: undefined,
      labels: [],
      closing: false,
      command: undefined,
      comment: '',
      body,
    },
  };
}
