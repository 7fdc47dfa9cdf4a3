import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { type GitLabAccess, GitLabFailure, gitlab, orNull, readAnswer } from './gitlab.ts';
import { assertBranchName } from './names.ts';

/** The fields of a merge request we use (konflux-and-gitlab.md §4.1). */
const MergeRequestAnswer = z.object({
  iid: z.number().int(),
  state: z.enum(['opened', 'closed', 'merged', 'locked']),
  web_url: z.string(),
  sha: z.string().nullish(),
  source_branch: z.string(),
  target_branch: z.string(),
  merge_commit_sha: z.string().nullish(),
  squash_commit_sha: z.string().nullish(),
  merge_error: z.string().nullish(),
  merge_status: z.string().nullish(),
  detailed_merge_status: z.string().nullish(),
});

export interface MergeRequest {
  iid: number;
  webUrl: string;
  /** `locked`: GitLab is merging it at this moment. */
  state: 'opened' | 'closed' | 'merged' | 'locked';
  /** Head of its source branch; null while GitLab does not know it yet. */
  sha: string | null;
  sourceBranch: string;
  targetBranch: string;
  /** The commit on the target branch, once merged: a fast-forward leaves GitLab's first field for it empty. */
  merged: string | null;
  /** `detailed_merge_status`; what stands for it on a GitLab without one. */
  mergeStatus: string;
  /** What GitLab said about a merge that was begun and failed. */
  mergeError: string | null;
}

const OLD_STATUS: Record<string, string> = { can_be_merged: 'mergeable', cannot_be_merged: 'conflict' };

/** Parses GitLab's answer. @throws Failure `answer_unreadable` */
export function readMergeRequestAnswer(answer: unknown): MergeRequest {
  const mr = readAnswer(MergeRequestAnswer, 'a merge request', answer);
  const sha = mr.sha || null;
  return {
    iid: mr.iid,
    webUrl: mr.web_url,
    state: mr.state,
    sha,
    sourceBranch: mr.source_branch,
    targetBranch: mr.target_branch,
    merged: mr.state === 'merged' ? mr.merge_commit_sha || mr.squash_commit_sha || sha : null,
    mergeStatus: mr.detailed_merge_status ?? OLD_STATUS[mr.merge_status ?? ''] ?? mr.merge_status ?? 'unchecked',
    mergeError: mr.merge_error ?? null,
  };
}

export interface Proposal {
  sourceBranch: string;
  targetBranch: string;
  title: string;
  /** Markdown. Longer than GitLab takes is cut. */
  description: string;
  /** Both are true unless said otherwise (request-handling.md §5). */
  removeSourceBranch?: boolean;
  squash?: boolean;
}

const LONGEST_DESCRIPTION = 1_048_576;

function fitting(description: string): string {
  const note = '\n\n… (cut)';
  return description.length <= LONGEST_DESCRIPTION
    ? description
    : description.slice(0, LONGEST_DESCRIPTION - note.length) + note;
}

/**
 * The open merge request of a source branch; opened when there is none, so a repeated call and one whose answer was
 * lost give the same (request-handling.md §5.2, H14).
 *
 * @throws Failure `gitlab_refused` with `Failed to create merge request: {status}…`, `gitlab_denied`, `gitlab_unavailable`
 */
export async function openMergeRequest(
  access: GitLabAccess,
  proposal: Proposal,
  signal: AbortSignal,
): Promise<MergeRequest> {
  const sourceBranch = assertBranchName(proposal.sourceBranch);
  const targetBranch = assertBranchName(proposal.targetBranch);
  const [found] = await findOpen(access, { sourceBranch, targetBranch }, signal);
  if (found) return await adopted(access, found, proposal, signal);
  try {
    const answer = await gitlab(access, signal).mergeRequests.create(
      access.url.project,
      sourceBranch,
      targetBranch,
      proposal.title,
      {
        description: fitting(proposal.description),
        removeSourceBranch: proposal.removeSourceBranch ?? true,
        squash: proposal.squash ?? true,
      },
    );
    return readMergeRequestAnswer(answer);
  } catch (thrown) {
    if (!(thrown instanceof GitLabFailure)) throw thrown;
    if (thrown.outcomeUnknown || thrown.status === 409) {
      const [ours] = await findOpen(access, { sourceBranch, targetBranch }, signal);
      if (ours) return await adopted(access, ours, proposal, signal);
    }
    if (thrown.code !== 'gitlab_refused') throw thrown;
    throw new GitLabFailure(thrown.code, `Failed to create merge request: ${thrown.status}: ${thrown.reason}`, {
      status: thrown.status,
      reason: thrown.reason,
      cause: thrown,
    });
  }
}

async function adopted(access: GitLabAccess, found: MergeRequest, proposal: Proposal, signal: AbortSignal) {
  const answer = await gitlab(access, signal).mergeRequests.edit(access.url.project, found.iid, {
    title: proposal.title,
    description: fitting(proposal.description),
  });
  return readMergeRequestAnswer(answer);
}

async function findOpen(
  access: GitLabAccess,
  branches: { sourceBranch: string; targetBranch?: string },
  signal: AbortSignal,
): Promise<MergeRequest[]> {
  const answer = await gitlab(access, signal).mergeRequests.all({
    projectId: access.url.project,
    state: 'opened',
    ...branches,
  });
  return readAnswer(z.array(z.unknown()), 'merge requests', answer).map(readMergeRequestAnswer);
}

/** The merge request as it is now; reading it makes GitLab check whether it can be merged. @throws Failure `gitlab_*` */
export async function readMergeRequest(access: GitLabAccess, iid: number, signal: AbortSignal): Promise<MergeRequest> {
  return readMergeRequestAnswer(await gitlab(access, signal).mergeRequests.show(access.url.project, iid));
}

/**
 * Closes a merge request if it is open and gives what it is afterwards; null when it does not exist. Closing does not
 * delete the source branch (`deleteBranch`).
 *
 * @throws Failure `gitlab_unavailable` also while GitLab is merging it: look again soon; `gitlab_denied`, `gitlab_refused`
 */
export async function closeMergeRequest(
  access: GitLabAccess,
  iid: number,
  signal: AbortSignal,
): Promise<MergeRequest | null> {
  const now = await orNull(readMergeRequest(access, iid, signal));
  if (now?.state === 'locked') {
    throw new Failure('gitlab_unavailable', `Merge request ${iid} cannot be closed: GitLab is merging it`);
  }
  if (now?.state !== 'opened') return now;
  try {
    const { mergeRequests } = gitlab(access, signal);
    return readMergeRequestAnswer(await mergeRequests.edit(access.url.project, iid, { stateEvent: 'close' }));
  } catch (thrown) {
    const after = await orNull(readMergeRequest(access, iid, signal));
    if (after?.state !== 'closed' && after?.state !== 'merged' && after !== null) throw thrown;
    return after;
  }
}

/** Closes whatever merge requests of a source branch are open. @throws as `closeMergeRequest` */
export async function closeMergeRequestOf(
  access: GitLabAccess,
  sourceBranch: string,
  signal: AbortSignal,
): Promise<void> {
  for (const { iid } of await findOpen(access, { sourceBranch: assertBranchName(sourceBranch) }, signal)) {
    await closeMergeRequest(access, iid, signal);
  }
}

/** Replaces the description. @throws Failure `gitlab_*` */
export async function updateDescription(
  access: GitLabAccess,
  change: { iid: number; description: string },
  signal: AbortSignal,
): Promise<void> {
  await gitlab(access, signal).mergeRequests.edit(access.url.project, change.iid, {
    description: fitting(change.description),
  });
}

const Note = z.object({ body: z.string() });

/** Writes a note under a merge request; when the answer is lost, the newest notes tell whether it is there. @throws Failure `gitlab_*` */
export async function addNote(
  access: GitLabAccess,
  note: { iid: number; body: string },
  signal: AbortSignal,
): Promise<void> {
  const { notes } = gitlab(access, signal);
  try {
    await notes.create(access.url.project, note.iid, note.body);
  } catch (thrown) {
    if (!(thrown instanceof GitLabFailure) || !thrown.outcomeUnknown) throw thrown;
    const answer = await notes.all(access.url.project, note.iid, { sort: 'desc', perPage: 5, maxPages: 1 });
    const newest = readAnswer(z.array(Note), 'notes', answer).slice(0, 5);
    if (!newest.some(({ body }) => body === note.body)) throw thrown;
  }
}
