import { git, tryGit } from './git.ts';
import type { Mirror } from './mirror.ts';
import { isObjectId } from './names.ts';

/** Commits that were put onto a branch: those after `base` up to `head`. */
export interface Landed {
  branch: string;
  base: string;
  head: string;
  /** The merge request whose merge made `head`, where one did: GitLab's reverts of a merge commit name it instead. */
  mergeRequest?: number | undefined;
}

/**
 * The commits of a change that are on its branch now and that no later commit there reverts, newest first. Who reverts is
 * known by the sentence git and GitLab write: `This reverts commit {sha}`, of a merge commit `This reverts merge request
 * !{iid}`. A revert that was reverted itself does not count.
 *
 * @throws Failure as `Mirror.tip`
 */
export async function standingCommits(mirror: Mirror, change: Landed, signal: AbortSignal): Promise<string[]> {
  const { branch, base, head } = change;
  const tip = await mirror.tip(branch, signal);
  const at = { gitDir: mirror.path, signal };
  const doing = `Error cloning remote repository for ${mirror.remote.url.text}`;
  // A base that is not here was taken off the branch with all that came after it; asking for it must not fetch it.
  const known = await tryGit(mirror.remote, ['rev-list', '--no-walk', '--missing=print', base], at);
  if (!isObjectId(head) || known.exitCode !== 0) return [];
  const revisions = async (...range: string[]) =>
    (await git(mirror.remote, doing, ['rev-list', '--topo-order', ...range, '--'], at)).split('\n').filter(Boolean);
  if (!(await revisions(tip, `^${base}`)).includes(head)) return [];
  const log = ['log', '-z', '--topo-order', '--format=%H%n%B', tip, `^${head}`, '--'];
  const later = (await git(mirror.remote, doing, log, at)).split('\0').filter(Boolean);
  const reverted = revertedBy(later, change);
  return (await revisions(head, `^${base}`)).filter((sha) => !reverted.has(sha));
}

/** The commits that commits (id and message, newest first) revert. */
function revertedBy(commits: readonly string[], { head, mergeRequest }: Landed): Set<string> {
  const reverted = new Set<string>();
  for (const commit of commits) {
    const end = commit.indexOf('\n');
    if (reverted.has(commit.slice(0, end))) continue;
    const message = commit.slice(end);
    for (const [, sha = ''] of message.matchAll(/This reverts commit ([0-9a-f]{40})/g)) reverted.add(sha);
    for (const [, iid] of message.matchAll(/This reverts merge request [\w./-]*!(\d+)/g)) {
      if (Number(iid) === mergeRequest) reverted.add(head);
    }
  }
  return reverted;
}
