import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors/failure.ts';
import { mask } from '../telemetry/secrets.ts';
import { branchTip } from './branches.ts';
import { type GitLabAccess, GitLabFailure, gitlab } from './gitlab.ts';
import { type MergeRequest, readMergeRequest, readMergeRequestAnswer } from './merge-requests.ts';

/** What a `detailed_merge_status` asks for (konflux-and-gitlab.md §4.1); one that is not here may be new: wait. */
const MEANING: Record<string, 'go' | 'act' | 'people' | 'never'> = {
  mergeable: 'go',
  need_rebase: 'act',
  conflict: 'act',
  broken_status: 'act',
  not_approved: 'people',
  requested_changes: 'people',
  discussions_not_resolved: 'people',
  draft_status: 'people',
  merge_request_blocked: 'people',
  blocked_status: 'people',
  jira_association_missing: 'people',
  security_policy_violations: 'people',
  policies_denied: 'people',
  locked_paths: 'people',
  locked_lfs_files: 'people',
  commits_status: 'never',
};

/** A merge that GitLab began and that failed so often on a mergeable request is refused for a reason of its own (a hook). */
const FAILED_MERGES = 3;
const FIRST_WAIT = 250;
const LONGEST_WAIT = 10_000;

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
  /** Told whenever the reason for waiting changes, with GitLab's word for it. */
  onWaiting?: ((mergeStatus: string) => void) | undefined;
}

/**
 * Merges a merge request as soon as GitLab lets it and gives the commit on the target branch. May be called again
 * after anything: one that is merged already is a success when its head is ours (konflux-and-gitlab.md §4.1, H3, H13).
 *
 * @throws Failure `target_moved` (also a conflict), `merge_request_closed`, `merge_refused` with
 *   `Failed to merge merge request {iid}: …` as GitLab says it, `merge_not_ready` at the end of `within`,
 *   `gitlab_denied`, `gitlab_unavailable`
 */
export async function mergeWhenReady(access: GitLabAccess, merge: Merge): Promise<string> {
  const { iid, signal } = merge;
  const until = Date.now() + merge.within;
  const failed = `Failed to merge merge request ${iid}`;
  let failedMerges = 0;
  let shown: string | undefined;

  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    let refusal: GitLabFailure | undefined;
    const now = await readMergeRequest(access, iid, signal);
    const merged = mergedOurs(now, merge.sha);
    if (merged !== null) return merged;
    await assertOurs(access, now, merge, failed);

    const meaning = now.state === 'locked' ? undefined : MEANING[now.mergeStatus];
    if (now.state === 'opened') await assertTargetStayed(access, merge);
    if (meaning === 'act') {
      const what = now.mergeStatus === 'need_rebase' ? 'it must be rebased' : 'it conflicts with the target branch';
      throw new Failure('target_moved', `${failed}: ${what} ${now.targetBranch}`);
    }
    if (meaning === 'never') {
      throw new Failure(
        'merge_refused',
        `${failed}: its branch ${now.sourceBranch} is gone or empty (${now.mergeStatus})`,
      );
    }
    if (meaning === 'go') {
      const reply = await tryMerge(access, merge);
      if (!(reply instanceof GitLabFailure)) {
        const sha = reply && mergedOurs(reply, merge.sha);
        if (sha !== null) return sha;
      } else {
        refusal = reply;
        if (reply.status === 401 || reply.status === 403) {
          throw new Failure(
            'merge_refused',
            `${failed}: GitLab answers ${reply.status} (${reply.reason}): the token's user may not merge into ${now.targetBranch}`,
            { cause: reply },
          );
        }
        if (reply.status === 422 && !/cannot be merged/i.test(reply.reason)) failedMerges += 1;
        if (failedMerges >= FAILED_MERGES) {
          throw new Failure('merge_refused', mask(`${failed}: ${now.mergeError ?? reply.reason}`), { cause: reply });
        }
      }
    }

    if (shown !== now.mergeStatus) merge.onWaiting?.(now.mergeStatus);
    shown = now.mergeStatus;
    const left = until - Date.now();
    if (left <= 0) throw outOfTime(failed, now, meaning, refusal);
    const pause = Math.max(wait, (refusal?.retryAfter ?? 0) * 1000);
    await sleep(Math.min(pause, left), undefined, { signal });
  }
}

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
  if (mr.sha === null || mr.sha === merge.sha) return;
  // A merge request learns of a push a little later than the branch.
  const pushed = mr.state === 'merged' ? mr.sha : await branchTip(access, mr.sourceBranch, merge.signal);
  if (pushed === merge.sha) return;
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

function outOfTime(failed: string, mr: MergeRequest, meaning: string | undefined, refusal?: GitLabFailure): Failure {
  if (refusal?.code === 'gitlab_unavailable') return refusal;
  if (meaning === 'people') {
    return new Failure('merge_refused', `${failed}: GitLab waits for people: ${mr.mergeStatus}`, { cause: refusal });
  }
  const said = refusal === undefined ? '' : ` (GitLab answers ${refusal.status}: ${refusal.reason})`;
  return new Failure('merge_not_ready', `${failed}: it is not ready in time: ${mr.mergeStatus}${said}`, {
    cause: refusal,
  });
}
