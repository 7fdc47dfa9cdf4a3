import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors/failure.ts';
import { branchTip } from './branches.ts';
import { type GitLabAccess, GitLabFailure, gitlab } from './gitlab.ts';
import { type MergeRequest, readMergeRequest, readMergeRequestAnswer } from './merge-requests.ts';
import { type MergeStatus, mergeStatus } from './merge-status.ts';
import { isTemporary } from './temporary.ts';

/**
 * A merge that GitLab ran without telling why it failed, or only that it did, is tried so often: another merge may have
 * been under way, or a part of GitLab did not answer.
 */
const FAILED_MERGES = 3;
const FIRST_WAIT = 250;
const LONGEST_WAIT = 10_000;

/** Why a merge request is not merged yet. */
export interface Waiting {
  /** GitLab's word, e.g. `checking`. */
  status: string;
  /** What a person has to do; null where nobody has to do anything. */
  remedy: string | null;
  webUrl: string;
}

export interface Merge {
  iid: number;
  /** The commit that was built: GitLab merges this one or none. */
  sha: string;
  targetBranch: string;
  /** What the target branch must still point at; the change was built on it. */
  base: string;
  /** Milliseconds from now until `merge_not_ready`. */
  within: number;
  signal: AbortSignal;
  /** Told at once whenever the reason for waiting changes. */
  onWaiting?: ((waiting: Waiting) => void) | undefined;
}

/**
 * Merges a merge request as soon as GitLab lets it and gives the commit on the target branch. May be called again
 * after anything: one that is merged already is a success when its head is ours (konflux-and-gitlab.md §4.1, H3, H13).
 *
 * @throws Failure `target_moved` (also a conflict), `merge_request_closed`, `merge_refused` with
 *   `Failed to merge merge request {iid}: …`, what GitLab says and what a person has to do; `merge_not_ready` at the end
 *   of `within`, `gitlab_denied`, `gitlab_unavailable`
 */
export async function mergeWhenReady(access: GitLabAccess, merge: Merge): Promise<string> {
  const { iid, signal } = merge;
  const until = Date.now() + merge.within;
  const failed = `Failed to merge merge request ${iid}`;
  let failedMerges = 0;
  let shown: string | undefined;

  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    let refusal: GitLabFailure | undefined;
    let now = await readMergeRequest(access, iid, signal);
    const merged = mergedOurs(now, merge.sha);
    if (merged !== null) return merged;
    await assertOurs(access, now, merge, failed);
    if (now.state === 'opened') await assertTargetStayed(access, merge);

    const asks = now.state === 'locked' ? undefined : mergeStatus(now.mergeStatus);
    assertPossible(now, asks, failed);
    if (asks?.meaning === 'go') {
      const reply = await tryMerge(access, merge);
      if (reply instanceof GitLabFailure) {
        refusal = reply;
        assertAllowed(reply, now, failed);
      }
      const sha = reply === null || reply instanceof GitLabFailure ? null : mergedOurs(reply, merge.sha);
      if (sha !== null) return sha;
      // An older GitLab answers 200 to a merge that failed, too.
      if (!(reply instanceof GitLabFailure) || reply.status === 422) {
        const before = now;
        now = await readMergeRequest(access, iid, signal);
        const done = mergedOurs(now, merge.sha);
        if (done !== null) return done;
        failedMerges += assertMayMergeAgain({ before, now, refusal }, failed);
        if (failedMerges >= FAILED_MERGES) {
          const said = now.mergeError ?? refusal?.reason ?? 'GitLab does not say why';
          throw new Failure('merge_refused', `${failed}: ${said}`, { cause: refusal });
        }
      }
    }

    if (shown !== now.mergeStatus) {
      const { remedy } = mergeStatus(now.mergeStatus);
      merge.onWaiting?.({ status: now.mergeStatus, remedy, webUrl: now.webUrl });
    }
    shown = now.mergeStatus;
    const left = until - Date.now();
    if (left <= 0) throw outOfTime(failed, now, refusal);
    const pause = Math.max(wait, (refusal?.retryAfter ?? 0) * 1000);
    await sleep(Math.min(pause, left), undefined, { signal });
  }
}

/** @throws Failure `target_moved`, `merge_refused` where waiting brings nothing */
function assertPossible(now: MergeRequest, asks: MergeStatus | undefined, failed: string): void {
  if (asks?.meaning === 'rebuild') {
    const what = now.mergeStatus === 'need_rebase' ? 'it must be rebased' : 'it conflicts with the target branch';
    throw new Failure('target_moved', `${failed}: ${what} ${now.targetBranch}`);
  }
  if (asks?.meaning === 'rule') {
    throw new Failure('merge_refused', `${failed}: ${asks.remedy} (${now.mergeStatus}, ${now.webUrl})`);
  }
}

/** @throws Failure `merge_refused` where the rights of the token's user are the reason */
function assertAllowed(reply: GitLabFailure, now: MergeRequest, failed: string): void {
  if (reply.code !== 'gitlab_denied') return;
  throw new Failure(
    'merge_refused',
    `${failed}: GitLab answers ${reply.status} (${reply.reason}): the token's user may not merge into ${now.targetBranch}: allow it in the branch's protection`,
    { cause: reply },
  );
}

/**
 * Tells from the merge request what a refusal means that has one text for everything: a conflict, a rebase, or a merge
 * that was run and failed, whose reason is `merge_error`. Gives 1 when it was run and GitLab does not say why it failed.
 *
 * @throws Failure `merge_refused` when a hook or rule declined it, `target_moved`
 */
function assertMayMergeAgain(
  { before, now, refusal }: { before: MergeRequest; now: MergeRequest; refusal: GitLabFailure | undefined },
  failed: string,
): 0 | 1 {
  const stillReady = now.state === 'opened' && mergeStatus(now.mergeStatus).meaning === 'go';
  if (!stillReady) return 0;
  const { mergeError } = now;
  if (mergeError === null) return 1;
  if (isTemporary(mergeError) || HEAD_MOVED.test(mergeError)) return 0;
  // One that stood there before may be of an earlier attempt: this one may have found another merge under way.
  if (mergeError === before.mergeError || UNEXPLAINED.test(mergeError)) return 1;
  if (TARGET_MOVED.test(mergeError)) {
    throw new Failure('target_moved', `${failed}: ${mergeError}`, { cause: refusal });
  }
  throw new Failure(
    'merge_refused',
    `${failed}: ${mergeError}: what declined it must be changed, or exempt the token's user (${now.webUrl})`,
    { cause: refusal },
  );
}

const UNEXPLAINED = /error occurred while merging|went wrong during merge$|is not mergeable|try again/i;
const HEAD_MOVED = /updated since the merge was requested/i;
const TARGET_MOVED =
  /fast-forward merge is (allowed|not possible)|conflicts detected|conflict(s)? (in|with)|must be rebased/i;

/**
 * The commit on the target branch if a merge request was merged with our head, else null.
 *
 * @throws Failure `gitlab_unavailable` also while GitLab is merging it: look again soon; `gitlab_denied`, `gitlab_refused`
 */
export async function mergedCommit(
  access: GitLabAccess,
  merge: Pick<Merge, 'iid' | 'sha'>,
  signal: AbortSignal,
): Promise<string | null> {
  const now = await readMergeRequest(access, merge.iid, signal);
  if (now.state === 'locked') {
    throw new Failure('gitlab_unavailable', `Merge request ${merge.iid} is being merged at this moment`);
  }
  return mergedOurs(now, merge.sha);
}

function mergedOurs(mr: MergeRequest, sha: string): string | null {
  return mr.state === 'merged' && mr.sha === sha ? mr.merged : null;
}

async function assertOurs(access: GitLabAccess, mr: MergeRequest, merge: Merge, failed: string): Promise<void> {
  if (mr.state === 'closed') {
    throw new Failure('merge_request_closed', `${failed}: it was closed by somebody else`);
  }
  // `commits_status` says that GitLab sees no branch or no commits: that its branch is gone, or not yet known.
  const doubtful = mr.mergeStatus === 'commits_status' && mr.state === 'opened';
  if ((mr.sha === null || mr.sha === merge.sha) && !doubtful) return;
  // A merge request learns of a push a little later than the branch.
  const pushed = mr.state === 'merged' ? mr.sha : await branchTip(access, mr.sourceBranch, merge.signal);
  if (pushed === merge.sha) return;
  // Merging removes the branch: it may have happened between the two looks.
  if (pushed === null && (await readMergeRequest(access, merge.iid, merge.signal)).state !== mr.state) return;
  const then = mr.state === 'merged' ? ' and merged it' : '';
  throw new Failure(
    'merge_refused',
    `${failed}: somebody ${pushed === null ? 'deleted' : 'pushed to'} ${mr.sourceBranch} after it was built${then}`,
  );
}

/** The `sha` guard does not cover the target: merged onto another base, the tree was never built. */
async function assertTargetStayed(access: GitLabAccess, merge: Merge): Promise<void> {
  const tip = await branchTip(access, merge.targetBranch, merge.signal);
  if (tip === merge.base) return;
  // Our own merge moves the target, too: it may have happened between the two looks.
  const again = await readMergeRequest(access, merge.iid, merge.signal);
  if (again.state === 'merged' || again.state === 'locked') return;
  throw new Failure(
    'target_moved',
    tip === null
      ? `The branch ${merge.targetBranch} was deleted during the request`
      : `The branch ${merge.targetBranch} changed during the request: ${tip} instead of ${merge.base}`,
  );
}

/** One attempt; a refusal is a value here, because only the merge request's state tells what it means. Null: no idea. */
async function tryMerge(access: GitLabAccess, merge: Merge): Promise<MergeRequest | GitLabFailure | null> {
  const { mergeRequests } = gitlab(access, merge.signal);
  try {
    const options = { sha: merge.sha, squash: true, shouldRemoveSourceBranch: true };
    return readMergeRequestAnswer(await mergeRequests.merge(access.url.project, merge.iid, options));
  } catch (thrown) {
    if (thrown instanceof GitLabFailure) return thrown;
    if (thrown instanceof Failure && thrown.code === 'answer_unreadable') return null;
    throw thrown;
  }
}

function outOfTime(failed: string, mr: MergeRequest, refusal?: GitLabFailure): Failure {
  if (refusal?.code === 'gitlab_unavailable') return refusal;
  const { meaning, remedy } = mergeStatus(mr.mergeStatus);
  if (meaning === 'person') {
    return new Failure('merge_refused', `${failed}: ${remedy} (${mr.mergeStatus}, ${mr.webUrl})`, { cause: refusal });
  }
  const reason = mr.mergeError ?? refusal?.reason;
  const said = refusal === undefined ? '' : ` (GitLab answers ${refusal.status}: ${reason})`;
  const todo = remedy === null ? '' : `: ${remedy}`;
  return new Failure('merge_not_ready', `${failed}: it is not ready in time: ${mr.mergeStatus}${todo}${said}`, {
    cause: refusal,
  });
}
