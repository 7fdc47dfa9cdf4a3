import { git, tryGit } from './git.ts';
import type { Mirror } from './mirror.ts';
import { isObjectId } from './names.ts';

/** Commits that were put onto a branch: those after `base` up to `head`. */
export interface Landed {
  branch: string;
  base: string;
  head: string;
}

/**
 * The commits of a change that are on its branch now and that no later commit there says to revert, newest first. Who
 * reverts is known by the sentence git and GitLab write: `This reverts commit {sha}`.
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
  const later = await git(mirror.remote, doing, ['log', '--format=%B', tip, `^${head}`, '--'], at);
  return (await revisions(head, `^${base}`)).filter((sha) => !later.includes(`This reverts commit ${sha}`));
}
