import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { type GitLabAccess, GitLabFailure, gitlab, readAnswer, remoteOf } from './gitlab.ts';
import { remoteTip } from './mirror.ts';
import { assertBranchName } from './names.ts';

/**
 * What a branch points at, null when it does not exist. git is asked: GitLab's API learns of a push only once it has been
 * processed, which takes seconds, and a minute where the instance is busy.
 *
 * @throws Failure `gitlab_denied`, `gitlab_unavailable`
 */
export async function branchTip(access: GitLabAccess, branch: string, signal: AbortSignal): Promise<string | null> {
  return await remoteTip(remoteOf(access), branch, `Error reading the branches of ${access.url.text}`, signal);
}

/**
 * Deletes a branch; one that is gone is fine.
 *
 * @throws Failure `gitlab_unavailable` also while GitLab's API does not know a branch that was just pushed; `gitlab_denied`,
 *   `gitlab_refused` with what a person has to change
 */
export async function deleteBranch(access: GitLabAccess, branch: string, signal: AbortSignal): Promise<void> {
  const { branches } = gitlab(access, signal);
  try {
    await branches.remove(access.url.project, assertBranchName(branch));
  } catch (thrown) {
    if (!(thrown instanceof GitLabFailure) || thrown.status === 401) throw thrown;
    if ((await branchTip(access, branch, signal)) === null) return;
    throw deletionFailure(branch, thrown);
  }
}

function deletionFailure(branch: string, refusal: GitLabFailure): GitLabFailure {
  const { status, reason } = refusal;
  if (refusal.code === 'gitlab_unavailable') return refusal;
  const said = `Failed to delete the branch ${branch}: ${status}: ${reason}`;
  const answer = { status, reason, cause: refusal };
  if (status === 404) {
    return new GitLabFailure('gitlab_unavailable', `${said}: GitLab does not know the pushed branch yet`, answer);
  }
  const remedy =
    status === 400
      ? 'a rule or hook of the project forbids it: exempt branches of this name from it'
      : "let the token's user push to branches of this name (role Maintainer where they are protected)";
  return new GitLabFailure(refusal.code, `${said}: ${remedy}`, answer);
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

const Project = z.object({ path_with_namespace: z.string(), archived: z.boolean().nullish() });

/**
 * Whether the token opens the project: one call, for the start of the service and its readiness.
 *
 * @throws Failure `gitlab_denied` with a sentence that says what to check, `gitlab_unavailable`
 */
export async function checkToken(access: GitLabAccess, signal: AbortSignal): Promise<void> {
  try {
    const answer = await gitlab(access, signal).projects.show(access.url.project);
    if (readAnswer(Project, 'the project', answer).archived) {
      throw new Failure(
        'gitlab_denied',
        `The project ${access.url.project} is archived: unarchive it, or let the index have another catalog repository`,
      );
    }
  } catch (thrown) {
    if (!(thrown instanceof GitLabFailure) || thrown.status !== 404) throw thrown;
    throw new Failure(
      'gitlab_denied',
      `GitLab answers 404 for ${access.url.project}: there is no such project, or the token's user is no member of it`,
      { cause: thrown },
    );
  }
}
