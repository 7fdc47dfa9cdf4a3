import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { describe, Failure } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { type GitOptions, git, type Remote, tryGit } from './git.ts';
import { assertBranchName, isObjectId } from './names.ts';
import { parseRepositoryUrl } from './repository-url.ts';

/**
 * A bare repository that has the commits and folders of a catalog repository but no file contents: a few MB for an
 * index of any size. Workspaces borrow its objects. Several processes may share one.
 */
export interface Mirror {
  remote: Remote;
  /** Its folder. */
  path: string;
  /**
   * The newest commit of a branch on GitLab; its folders are in the mirror afterwards.
   *
   * @throws Failure `branch_missing`, `gitlab_denied`, `gitlab_unavailable`, `process_failed`
   */
  tip(branch: string, signal: AbortSignal): Promise<string>;
  /** Makes sure that a commit that was once a tip is in the mirror. @throws as `tip` */
  ensure(sha: string, signal: AbortSignal): Promise<void>;
}

/** Fetches of one mirror go one after the other in a process: the second finds the work of the first. */
const fetches = new Map<string, LimitFunction>();

/** Attributes of the repository itself are outvoted: bytes go in and out as they are. */
export const PLAIN_ATTRIBUTES = '* -text -eol -ident -filter -working-tree-encoding -diff -merge\n';

/** The part of a repository's config that lets git fetch what is missing when it is asked for. */
export function promisorConfig(url: string): string {
  return `[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = "${url}"\n\tpromisor = true\n\tpartialCloneFilter = blob:none\n`;
}

/**
 * The mirror of a repository under `stateDir/mirrors`, created when it is first asked for. Nothing is fetched yet.
 *
 * @param access.stall milliseconds a connection may stand still
 * @throws Failure `configuration_invalid` for a URL that is no GitLab project's
 */
export function openMirror(access: { url: string; token: string; stateDir: string; stall: number; log: Log }): Mirror {
  const url = parseRepositoryUrl(access.url);
  const remote: Remote = { url, token: access.token, stall: access.stall };
  const path = join(access.stateDir, 'mirrors', createHash('sha256').update(url.git).digest('hex').slice(0, 20));
  const oneAtATime = fetches.get(path) ?? pLimit(1);
  fetches.set(path, oneAtATime);
  const doing = `Error cloning remote repository for ${url.text}`;

  /** Fetches a commit unless it is here; `ref` remembers it, so that the next fetch asks for the difference only. */
  async function fetchCommit(sha: string, ref: string | null, signal: AbortSignal): Promise<void> {
    const at: GitOptions = { gitDir: path, signal };
    // Any form of --missing keeps git from fetching what it is only asked about.
    const known = await tryGit(remote, ['rev-list', '--no-walk', '--missing=print', sha], at);
    const isNew = known.exitCode !== 0;
    if (isNew) {
      // By object id and without a target: a fetch that updates refs fails when another process does the same.
      const what = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-gc', '--filter=blob:none'];
      await git(remote, doing, ['fetch', ...what, 'origin', sha], at);
    }
    // Reads every folder of the commit. One that is missing is fetched; damage shows here and not in a workspace.
    await git(remote, doing, ['ls-tree', '-r', '-d', '--name-only', sha], at);
    if (ref === null) return;
    await git(remote, doing, ['update-ref', ref, sha], at);
    if (!isNew) return;
    // Housekeeping with git's own lock; when it cannot now, a later fetch will. What is promised is never pruned.
    await tryGit(remote, ['-c', 'gc.autoPackLimit=100', '-c', 'gc.autoDetach=false', 'gc', '--auto', '--quiet'], at);
  }

  async function healing(sha: string, ref: string | null, signal: AbortSignal): Promise<void> {
    await oneAtATime(async () => {
      await create(path, url.git);
      try {
        await fetchCommit(sha, ref, signal);
      } catch (thrown) {
        if (!damaged(thrown)) throw thrown;
        access.log.warn({ cause: describe(thrown) }, 'a mirror is damaged and is made anew');
        await discard(path);
        await create(path, url.git);
        await fetchCommit(sha, ref, signal);
      }
    });
  }

  return {
    remote,
    path,
    async tip(branch, signal) {
      assertBranchName(branch);
      const sha = await remoteTip(remote, branch, doing, signal);
      if (sha === null) throw new Failure('branch_missing', `${doing}: it has no branch ${branch}`);
      await healing(sha, `refs/heads/${branch}`, signal);
      return sha;
    },
    async ensure(sha, signal) {
      if (!isObjectId(sha)) throw new Failure('unexpected', `${doing}: not a commit id`);
      await healing(sha, null, signal);
    },
  };
}

/**
 * What a branch points at on GitLab now, null when there is none. Needs no repository on disk.
 *
 * @param doing begins the message of a failure
 * @throws Failure `gitlab_denied`, `gitlab_unavailable`
 */
export async function remoteTip(
  remote: Remote,
  branch: string,
  doing: string,
  signal: AbortSignal,
): Promise<string | null> {
  const [tip = null] = await remoteTips(remote, [branch], doing, signal);
  return tip;
}

/** The same for several branches at one moment, in their order. */
export async function remoteTips(
  remote: Remote,
  branches: readonly string[],
  doing: string,
  signal: AbortSignal,
): Promise<(string | null)[]> {
  const refs = branches.map((branch) => `refs/heads/${assertBranchName(branch)}`);
  const out = await git(remote, doing, ['ls-remote', '--quiet', remote.url.git, ...refs], { gitDir: '/', signal });
  const lines = out.split('\n');
  return refs.map((ref) => lines.find((line) => line.endsWith(`\t${ref}`))?.split('\t')[0] ?? null);
}

/** Only trouble of our own is worth a new mirror; a full disk is not. */
function damaged(thrown: unknown): boolean {
  return thrown instanceof Failure && thrown.code === 'process_failed' && !thrown.message.startsWith('No space');
}

/** Makes an empty mirror beside its place and moves it there whole: of several processes one wins, and none sees a half. */
async function create(path: string, url: string): Promise<void> {
  if (await exists(join(path, 'config'))) return;
  const fresh = `${path}.${randomUUID()}`;
  await mkdir(join(fresh, 'objects', 'info'), { recursive: true, mode: 0o700 });
  await mkdir(join(fresh, 'refs', 'heads'), { recursive: true });
  await mkdir(join(fresh, 'info'), { recursive: true });
  await writeFile(join(fresh, 'HEAD'), 'ref: refs/heads/none\n');
  await writeFile(join(fresh, 'info', 'attributes'), PLAIN_ATTRIBUTES);
  await writeFile(
    join(fresh, 'config'),
    `[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n${promisorConfig(url)}`,
  );
  try {
    await rename(fresh, path);
  } catch (thrown) {
    await rm(fresh, { recursive: true, force: true });
    if (!(await exists(join(path, 'config')))) throw thrown;
  }
}

async function discard(path: string): Promise<void> {
  const grave = join(dirname(path), `broken.${randomUUID()}`);
  await rename(path, grave).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code !== 'ENOENT') throw thrown;
  });
  await rm(grave, { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
