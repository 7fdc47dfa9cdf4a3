import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { mask } from '../telemetry/secrets.ts';
import { branchTip } from './branches.ts';
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
    mergeError: mr.merge_error ? mask(mr.merge_error) : null,
  };
}

export interface Proposal {
  sourceBranch: string;
  /** The commit that was pushed to it. */
  head: string;
  targetBranch: string;
  title: string;
  /** Markdown. Longer than GitLab takes is cut. */
  description: string;
  /** Both are true unless said otherwise (request-handling.md §5). */
  removeSourceBranch?: boolean;
  squash?: boolean;
}

/** A proposal and how long to wait for GitLab to know its branch. */
export interface ProposedMerge extends Proposal {
  /** Milliseconds from the first refusal. */
  within: number;
  /** Told once, when GitLab does not know the branch yet. */
  onWaiting?: ((reason: string) => void) | undefined;
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
 * lost give the same (request-handling.md §5.2, H14). GitLab refuses to open one until it has processed the push: that is
 * waited for as long as git shows the pushed commit.
 *
 * @throws Failure `gitlab_refused` with `Failed to create merge request: {status}…`, `branch_not_visible` at the end of
 *   `within`, `gitlab_denied`, `gitlab_unavailable`
 */
export async function openMergeRequest(
  access: GitLabAccess,
  proposal: ProposedMerge,
  signal: AbortSignal,
): Promise<MergeRequest> {
  const sourceBranch = assertBranchName(proposal.sourceBranch);
  const targetBranch = assertBranchName(proposal.targetBranch);
  const [found] = await findOpen(access, { sourceBranch, targetBranch }, signal);
  if (found) return await adopted(access, found, proposal, signal);
  const until = Date.now() + proposal.within;
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const made = await tryCreate(access, proposal, signal);
    if (!(made instanceof GitLabFailure)) return made;
    await assertOnlyUnknown(access, made, proposal, signal);
    if (wait === FIRST_WAIT) proposal.onWaiting?.(made.reason);
    const left = until - Date.now();
    if (left <= 0) {
      throw new Failure(
        'branch_not_visible',
        `Failed to create merge request: GitLab does not know the pushed branch ${sourceBranch} after ${Math.round(proposal.within / 1000)} s (${made.reason}): look whether its background jobs (Sidekiq) are processed, or raise deadlines.branchAppears`,
        { cause: made },
      );
    }
    await sleep(Math.min(wait, left), undefined, { signal });
  }
}

/** Between looks at a branch that GitLab does not know yet, in milliseconds. */
const FIRST_WAIT = 250;
const LONGEST_WAIT = 5000;

/** Source or target, told by field, by a sentence, or in a list of sentences. */
const BRANCH_UNKNOWN = /(source|target)[_ ]branch\W{0,4}(["'`][^"'`]*["'`] )?(does not|doesn't) exist/i;

/** The merge request; GitLab's refusal when it says that it does not know the source or target branch. */
async function tryCreate(access: GitLabAccess, proposal: Proposal, signal: AbortSignal) {
  const { sourceBranch, targetBranch } = proposal;
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
      const ours = await findOther(access, thrown, { sourceBranch, targetBranch }, signal);
      if (ours) return await adopted(access, ours, proposal, signal);
    }
    if (thrown.code !== 'gitlab_refused') throw thrown;
    if (BRANCH_UNKNOWN.test(thrown.reason)) return thrown;
    throw creationFailure(thrown);
  }
}

function creationFailure(refusal: GitLabFailure): GitLabFailure {
  const { status, reason } = refusal;
  const said = `Failed to create merge request: ${status}: ${reason}`;
  return new GitLabFailure(refusal.code, said, { status, reason, cause: refusal });
}

/** The open one that is in the way. The list may be a little older than the refusal, which names it: `…: !12`. */
async function findOther(
  access: GitLabAccess,
  refusal: GitLabFailure,
  branches: { sourceBranch: string; targetBranch: string },
  signal: AbortSignal,
): Promise<MergeRequest | undefined> {
  const [listed] = await findOpen(access, branches, signal);
  const iid = /!(\d+)\s*$/.exec(refusal.reason)?.[1];
  if (listed !== undefined || refusal.status !== 409 || iid === undefined) return listed;
  const named = await orNull(readMergeRequest(access, Number(iid), signal));
  const same = named?.sourceBranch === branches.sourceBranch && named.targetBranch === branches.targetBranch;
  return same && named.state === 'opened' ? named : undefined;
}

/** Passes while git has both branches, the source at the pushed commit: then GitLab is only late. @throws Failure `gitlab_refused` */
async function assertOnlyUnknown(
  access: GitLabAccess,
  refusal: GitLabFailure,
  { sourceBranch, targetBranch, head }: Proposal,
  signal: AbortSignal,
): Promise<void> {
  const there = await branchTip(access, sourceBranch, signal);
  if (there === head && (await branchTip(access, targetBranch, signal)) !== null) return;
  if (there === null || there === head) throw creationFailure(refusal);
  throw new Failure('gitlab_refused', `Failed to create merge request: somebody pushed to ${sourceBranch} meanwhile`);
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
