import type { Log } from '../telemetry/log.ts';
import * as branches from './branches.ts';
import type { GitLabAccess } from './gitlab.ts';
import { type Merge, mergedCommit, mergeWhenReady } from './merge.ts';
import type { MergeRequest, ProposedMerge } from './merge-requests.ts';
import * as mergeRequests from './merge-requests.ts';
import { openMirror } from './mirror.ts';
import { parseRepositoryUrl } from './repository-url.ts';
import { type Landed, standingCommits } from './standing.ts';
import { openWorkspace, type Workspace } from './workspace.ts';

/**
 * One catalog repository on GitLab: everything we read from it and do to it. Every effect may be repeated: it looks at
 * the world first, so a call whose answer was lost is made good by calling again. Nothing is tried again inside.
 */
export interface Forge {
  /** The repository's URL as configured. */
  url: string;
  /** Newest commit of a branch, its folders fetched into the mirror. */
  tip(branch: string, signal: AbortSignal): Promise<string>;
  openWorkspace(
    options: { branch: string; dir: string; base?: string | undefined },
    signal: AbortSignal,
  ): Promise<Workspace>;
  /** Newest commit of a branch, null when there is no such branch; nothing is fetched. */
  branchTip(branch: string, signal: AbortSignal): Promise<string | null>;
  deleteBranch(branch: string, signal: AbortSignal): Promise<void>;
  openMergeRequest(proposal: ProposedMerge, signal: AbortSignal): Promise<MergeRequest>;
  readMergeRequest(iid: number, signal: AbortSignal): Promise<MergeRequest>;
  mergeWhenReady(merge: Merge): Promise<string>;
  mergedCommit(merge: { iid: number; sha: string }, signal: AbortSignal): Promise<string | null>;
  closeMergeRequest(iid: number, signal: AbortSignal): Promise<MergeRequest | null>;
  closeMergeRequestOf(sourceBranch: string, signal: AbortSignal): Promise<void>;
  updateDescription(change: { iid: number; description: string }, signal: AbortSignal): Promise<void>;
  addNote(note: { iid: number; body: string }, signal: AbortSignal): Promise<void>;
  standingCommits(change: Landed, signal: AbortSignal): Promise<string[]>;
  revertMerge(merge: { sha: string; branch: string }, signal: AbortSignal): Promise<void>;
  commitStatuses(sha: string, signal: AbortSignal): Promise<branches.CommitStatus[]>;
  checkToken(signal: AbortSignal): Promise<void>;
}

/**
 * Opens a catalog repository by its URL (request-handling.md §5). Nothing is read yet.
 *
 * @param options.stateDir where mirrors are kept
 * @param options.callTimeout milliseconds one API call may take and a git connection may stand still
 * @throws Failure `configuration_invalid` for a URL that is no GitLab project's
 */
export function createForge(options: {
  url: string;
  token: string;
  stateDir: string;
  callTimeout: number;
  log: Log;
}): Forge {
  const { token, callTimeout, log } = options;
  const access: GitLabAccess = { url: parseRepositoryUrl(options.url), token, callTimeout };
  const mirror = openMirror({ ...options, stall: callTimeout });
  return {
    url: options.url,
    tip: (branch, signal) => mirror.tip(branch, signal),
    openWorkspace: (from, signal) => openWorkspace(mirror, from, signal),
    branchTip: (branch, signal) => branches.branchTip(access, branch, signal),
    deleteBranch: (branch, signal) => branches.deleteBranch(access, branch, signal),
    openMergeRequest: (proposal, signal) =>
      mergeRequests.openMergeRequest(
        access,
        {
          ...proposal,
          onWaiting: (reason) => {
            log.info({ branch: proposal.sourceBranch, reason }, 'waiting until GitLab knows the pushed branch');
            proposal.onWaiting?.(reason);
          },
        },
        signal,
      ),
    readMergeRequest: (iid, signal) => mergeRequests.readMergeRequest(access, iid, signal),
    mergeWhenReady: (merge) =>
      mergeWhenReady(access, {
        ...merge,
        onWaiting: (waiting) => {
          log.info({ iid: merge.iid, ...waiting }, 'waiting until the merge request can be merged');
          merge.onWaiting?.(waiting);
        },
      }),
    mergedCommit: (merge, signal) => mergedCommit(access, merge, signal),
    closeMergeRequest: (iid, signal) => mergeRequests.closeMergeRequest(access, iid, signal),
    closeMergeRequestOf: (branch, signal) => mergeRequests.closeMergeRequestOf(access, branch, signal),
    updateDescription: (change, signal) => mergeRequests.updateDescription(access, change, signal),
    addNote: (note, signal) => mergeRequests.addNote(access, note, signal),
    standingCommits: (change, signal) => standingCommits(mirror, change, signal),
    revertMerge: (merge, signal) => branches.revertMerge(access, merge, signal),
    commitStatuses: (sha, signal) => branches.commitStatuses(access, sha, signal),
    checkToken: (signal) => branches.checkToken(access, signal),
  };
}
