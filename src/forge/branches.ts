import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { type GitLabAccess, GitLabFailure, gitlab, orNull, readAnswer } from './gitlab.ts';
import { assertBranchName } from './names.ts';

const Branch = z.object({ commit: z.object({ id: z.string() }) });

/** What a branch points at, null when it does not exist (GitLab's API; the mirror's `tip` also fetches). @throws Failure `gitlab_*` */
export async function branchTip(access: GitLabAccess, branch: string, signal: AbortSignal): Promise<string | null> {
  const { branches } = gitlab(access, signal);
  const answer = await orNull(branches.show(access.url.project, assertBranchName(branch)));
  return answer === null ? null : readAnswer(Branch, 'a branch', answer).commit.id;
}

/** Deletes a branch; one that is gone is fine. @throws Failure `gitlab_denied`, `gitlab_refused` (protected), `gitlab_unavailable` */
export async function deleteBranch(access: GitLabAccess, branch: string, signal: AbortSignal): Promise<void> {
  const { branches } = gitlab(access, signal);
  await orNull(branches.remove(access.url.project, assertBranchName(branch)));
}

/**
 * Reverts a merged commit on its branch with a new commit. Calling it again is fine: GitLab finds nothing left to revert.
 *
 * @throws Failure `gitlab_refused` when later commits changed the same lines, `gitlab_denied`, `gitlab_unavailable`
 */
export async function revertMerge(
  access: GitLabAccess,
  merge: { sha: string; branch: string },
  signal: AbortSignal,
): Promise<void> {
  const { commits } = gitlab(access, signal);
  try {
    await commits.revert(access.url.project, merge.sha, assertBranchName(merge.branch));
  } catch (thrown) {
    if (thrown instanceof GitLabFailure && thrown.errorCode === 'empty') return;
    throw thrown;
  }
}

const Status = z.object({
  name: z.string(),
  status: z.string(),
  description: z.string().nullish(),
  target_url: z.string().nullish(),
});

export interface CommitStatus {
  name: string;
  /** `pending`, `running`, `success`, `failed`, `canceled`, `skipped`, and what GitLab may add. */
  status: string;
  description: string | null;
  targetUrl: string | null;
}

/** What pipelines said about a commit, on all pages. @throws Failure `gitlab_*` */
export async function commitStatuses(access: GitLabAccess, sha: string, signal: AbortSignal): Promise<CommitStatus[]> {
  const answer = await gitlab(access, signal).commits.allStatuses(access.url.project, sha);
  return readAnswer(z.array(Status), 'the statuses of a commit', answer).map((status) => ({
    name: status.name,
    status: status.status,
    description: status.description ?? null,
    targetUrl: status.target_url ?? null,
  }));
}

/**
 * Whether the token opens the project: one call, for the start of the service and its readiness.
 *
 * @throws Failure `gitlab_denied` with a sentence that says what to check, `gitlab_unavailable`
 */
export async function checkToken(access: GitLabAccess, signal: AbortSignal): Promise<void> {
  try {
    const answer = await gitlab(access, signal).projects.show(access.url.project);
    readAnswer(z.object({ path_with_namespace: z.string() }), 'the project', answer);
  } catch (thrown) {
    if (!(thrown instanceof GitLabFailure) || thrown.status !== 404) throw thrown;
    throw new Failure(
      'gitlab_denied',
      `GitLab answers 404 for ${access.url.project}: there is no such project, or the token's user is no member of it`,
      { cause: thrown },
    );
  }
}
