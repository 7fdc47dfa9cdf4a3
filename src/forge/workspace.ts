import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import type { Ran } from '../process/run.ts';
import { mask } from '../telemetry/secrets.ts';
import { type GitOptions, git, remoteFailure, tryGit } from './git.ts';
import { type Mirror, PLAIN_ATTRIBUTES, promisorConfig, remoteTip, remoteTips } from './mirror.ts';
import { assertBranchName, assertRepositoryPath } from './names.ts';
import { standingCommits } from './standing.ts';

/** Holds the deprecation content of all packages; not a package itself (request-handling.md §5). */
export const DEPRECATIONS = '_operator-deprecations-content';

/** Git's mode of an entry that is a folder. */
const FOLDER = '040000';
/** Every git knows this object without having it. */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export interface Author {
  name: string;
  email: string;
}

export interface Commit {
  message: string;
  author: Author;
  /** Now when absent. */
  date?: Date | undefined;
}

export interface ChangedPackage {
  name: string;
  change: 'added' | 'modified' | 'removed';
}

/**
 * One delivery's working copy of a catalog branch at a pinned commit. On disk are the files of the root folder and the
 * folders that were included, nothing else; their contents alone are fetched. A repository of its own that borrows the
 * mirror's objects: nothing it does is seen by other workspaces, and disposing of it is deleting a folder.
 */
export interface Workspace {
  /** Where the files are. Files and folders may be written and deleted here freely. */
  dir: string;
  branch: string;
  /** The commit it was opened at. */
  base: string;
  /** The newest commit: `base` or what `commit` gave last. */
  head(): string;
  /** Brings folders (paths from the root) onto disk as they are in `head`; absent ones are fine. */
  include(paths: readonly string[], signal: AbortSignal): Promise<void>;
  /** Names of the package folders in `configs/` at `head`. @throws Failure `catalog_directory_missing` */
  listPackages(signal: AbortSignal): Promise<string[]>;
  /** Content of a file at `base`, null when there is none. */
  readAtBase(path: string, signal: AbortSignal): Promise<string | null>;
  /** Deletes a file or folder, on disk or not. */
  removePath(path: string, signal: AbortSignal): Promise<void>;
  /** Takes committed folders that were not included off the disk again. */
  hide(signal: AbortSignal): Promise<void>;
  /** Throws away what was not committed. */
  discard(signal: AbortSignal): Promise<void>;
  /**
   * Commits everything that changed and gives the commit, null when nothing did. The same change at the same `date` on
   * the same commit gives the same id.
   */
  commit(change: Commit, signal: AbortSignal): Promise<string | null>;
  /**
   * Points a branch of our own on GitLab at `head`; what an earlier attempt left there is replaced, unless it changes
   * between the look and the push. Pushing again is fine.
   *
   * @throws Failure `push_refused`, `gitlab_denied`, `gitlab_unavailable`, each with `Error pushing changes to git repo {url}`
   */
  push(sourceBranch: string, signal: AbortSignal): Promise<void>;
  /**
   * Puts what was committed onto the branch itself, which must still be at `base`. Nothing is forced. Pushing again is
   * fine, also when somebody has pushed on top of it since.
   *
   * @throws Failure `target_moved`, and as `push`
   */
  land(signal: AbortSignal): Promise<void>;
  /** The packages whose folders differ between `base` and `head`. */
  changedPackages(signal: AbortSignal): Promise<ChangedPackage[]>;
  dispose(): Promise<void>;
}

/**
 * Opens a workspace at the tip of a branch, or at `base` when a delivery goes on with the commit it was pinned to.
 * Reports belong to the caller; the conventions are request-handling.md §5.
 *
 * @param options.dir a folder that does not exist yet; deleted again by `dispose`
 * @throws Failure as `Mirror.tip` (`Error cloning remote repository for {url}`)
 */
export async function openWorkspace(
  mirror: Mirror,
  options: { branch: string; dir: string; base?: string | undefined },
  signal: AbortSignal,
): Promise<Workspace> {
  const { dir, branch } = options;
  const { remote } = mirror;
  const base = options.base ?? (await mirror.tip(branch, signal));
  if (options.base !== undefined) await mirror.ensure(base, signal);
  const gitDir = join(dir, '.git');
  await createRepository(gitDir, mirror, base);
  let head = base;
  /** The packages of the commit they were last asked for: asked often, and they cannot change. */
  let listed: { commit: string; packages: string[] } | undefined;

  const reading = `Error cloning remote repository for ${remote.url.text}`;
  const pushing = `Error pushing changes to git repo ${remote.url.text}`;
  const at = { gitDir, workTree: dir };
  const run = (args: readonly string[], signal: AbortSignal, more: Pick<GitOptions, 'input' | 'env'> = {}) =>
    git(remote, reading, args, { ...at, signal, ...more });

  try {
    await run(['read-tree', '-m', '-u', base], signal);
  } catch (thrown) {
    await rm(dir, { recursive: true, force: true });
    throw thrown;
  }

  async function stage(signal: AbortSignal): Promise<string> {
    // Ignored files too: a .gitignore of the repository must not decide what a catalog consists of.
    await run(['add', '--all', '--force', '--sparse', '--', '.'], signal);
    return (await run(['write-tree', '--missing-ok'], signal)).trim();
  }

  /** The ids of objects, null where there is none. */
  async function objectsAt(names: readonly string[], signal: AbortSignal): Promise<(string | null)[]> {
    // Nothing but the id is asked for: what is promised is not fetched for it.
    const out = await run(['cat-file', '--batch-check=%(objectname)'], signal, { input: `${names.join('\n')}\n` });
    const lines = out.trimEnd().split('\n');
    return lines.map((line) => (line.endsWith(' missing') ? null : line));
  }

  async function objectAt(name: string, signal: AbortSignal): Promise<string | null> {
    const [id = null] = await objectsAt([name], signal);
    return id;
  }

  async function include(paths: readonly string[], signal: AbortSignal): Promise<void> {
    if (paths.length === 0) return;
    const input = `${paths.map(assertRepositoryPath).join('\n')}\n`;
    await run(['sparse-checkout', 'add', '--skip-checks', '--stdin'], signal, { input });
  }

  async function readAtBase(path: string, signal: AbortSignal): Promise<string | null> {
    const object = await objectAt(`${base}:${assertRepositoryPath(path)}`, signal);
    return object === null ? null : await run(['cat-file', 'blob', object], signal);
  }

  async function removePath(path: string, signal: AbortSignal): Promise<void> {
    await run(
      ['rm', '-r', '-q', '--cached', '--sparse', '-f', '--ignore-unmatch', '--', assertRepositoryPath(path)],
      signal,
    );
    await rm(join(dir, path), { recursive: true, force: true });
  }

  async function hide(signal: AbortSignal): Promise<void> {
    await run(['sparse-checkout', 'reapply'], signal);
  }

  async function discard(signal: AbortSignal): Promise<void> {
    await run(['reset', '--hard', '--quiet', head], signal);
    await run(['clean', '-ffdxq'], signal);
  }

  async function commit(change: Commit, signal: AbortSignal) {
    let tree = await stage(signal);
    const names = [`${head}^{tree}`, `${head}:configs`, `${tree}:configs`];
    const [whole, before, after] = await objectsAt(names, signal);
    if (before && !after) {
      // Git keeps no empty folder, and without configs/ the next request would find no catalog.
      await mkdir(join(dir, 'configs'), { recursive: true });
      await writeFile(join(dir, 'configs', '.gitkeep'), '');
      tree = await stage(signal);
    }
    if (tree === whole) return null;
    const date = `${Math.floor((change.date ?? new Date()).getTime() / 1000)} +0000`;
    const env = {
      GIT_AUTHOR_NAME: change.author.name,
      GIT_AUTHOR_EMAIL: change.author.email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_NAME: change.author.name,
      GIT_COMMITTER_EMAIL: change.author.email,
      GIT_COMMITTER_DATE: date,
    };
    const input = change.message.endsWith('\n') ? change.message : `${change.message}\n`;
    const made = (await run(['commit-tree', tree, '-p', head, '-F', '-'], signal, { input, env })).trim();
    await run(['update-ref', '--no-deref', 'HEAD', made], signal);
    head = made;
    return made;
  }

  async function push(sourceBranch: string, signal: AbortSignal): Promise<void> {
    const [there, target] = await remoteTips(remote, [sourceBranch, branch], pushing, signal);
    if (there === head) return;
    // With the target's newest commit at hand git sends the difference only.
    if (target !== base) await mirror.tip(branch, signal);
    const ref = `refs/heads/${assertBranchName(sourceBranch)}`;
    const lease = `--force-with-lease=${ref}:${there ?? ''}`;
    const ran = await tryGit(remote, ['push', '--porcelain', '--no-thin', lease, 'origin', `${head}:${ref}`], {
      ...at,
      signal,
    });
    if (ran.exitCode === 0) return;
    // The answer may be lost and the push done all the same.
    if ((await remoteTip(remote, sourceBranch, pushing, signal)) === head) return;
    throw refused(ran);
  }

  function refused(ran: Ran): Failure {
    const said = { ...ran, stderr: `${ran.stdout}\n${ran.stderr}` };
    return (
      remoteFailure(pushing, said) ??
      new Failure('push_refused', pushing, { cause: new Error(mask(ran.stderr.trim())) })
    );
  }

  async function land(signal: AbortSignal): Promise<void> {
    if (await landed(await remoteTip(remote, branch, pushing, signal), signal)) return;
    const ref = `refs/heads/${branch}`;
    const args = ['push', '--porcelain', '--no-thin', 'origin', `${head}:${ref}`];
    const ran = await tryGit(remote, args, { ...at, signal });
    // The answer may be lost and the push done all the same; or somebody was faster.
    if (ran.exitCode !== 0 && !(await landed(await remoteTip(remote, branch, pushing, signal), signal))) {
      throw refused(ran);
    }
  }

  /** Whether a tip of the branch has what was committed; false when it is where it was. @throws Failure `target_moved` */
  async function landed(tip: string | null, signal: AbortSignal): Promise<boolean> {
    if (tip === head) return true;
    if (tip === base) return false;
    const change = { branch, base, head };
    if (tip !== null && (await standingCommits(mirror, change, signal)).includes(head)) return true;
    throw new Failure('target_moved', `${pushing}: the branch ${branch} changed during the request`);
  }

  async function listPackages(signal: AbortSignal): Promise<string[]> {
    const commit = head;
    if (listed?.commit === commit) return listed.packages;
    const configs = await objectAt(`${commit}:configs`, signal);
    if (configs === null) {
      throw new Failure(
        'catalog_directory_missing',
        `Catalogs directory not found in ${remote.url.text}: branch ${branch} has no configs/`,
      );
    }
    const names = (await run(['ls-tree', '-d', '-z', '--name-only', configs], signal)).split('\0');
    const packages = names.filter((name) => name !== '' && name !== DEPRECATIONS);
    listed = { commit, packages };
    return packages;
  }

  async function changedPackages(signal: AbortSignal): Promise<ChangedPackage[]> {
    const [before, after] = await objectsAt([`${base}:configs`, `${head}:configs`], signal);
    if (before === after) return [];
    // One level deep: a folder's id tells whether anything in it differs.
    const out = await run(
      ['diff-tree', '--raw', '-z', '--no-renames', before ?? EMPTY_TREE, after ?? EMPTY_TREE],
      signal,
    );
    return [...out.matchAll(/:(\d{6}) (\d{6}) \S+ \S+ [A-Z]\0([^\0]+)\0/g)].flatMap(
      ([, was, is, name = '']): ChangedPackage[] => {
        if (name === DEPRECATIONS) return [];
        if (was === FOLDER) return [{ name, change: is === FOLDER ? 'modified' : 'removed' }];
        return is === FOLDER ? [{ name, change: 'added' }] : [];
      },
    );
  }

  return {
    dir,
    branch,
    base,
    head: () => head,
    include,
    listPackages,
    readAtBase,
    removePath,
    hide,
    discard,
    commit,
    push,
    land,
    changedPackages,
    dispose: () => rm(dir, { recursive: true, force: true }),
  };
}

/** A repository with the root folder's files as its sparse pattern and the mirror's objects as its own. */
async function createRepository(gitDir: string, mirror: Mirror, head: string): Promise<void> {
  await mkdir(join(gitDir, 'objects', 'info'), { recursive: true, mode: 0o700 });
  await mkdir(join(gitDir, 'refs', 'heads'), { recursive: true });
  await mkdir(join(gitDir, 'info'));
  await writeFile(join(gitDir, 'HEAD'), `${head}\n`);
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(mirror.path, 'objects')}\n`);
  await writeFile(join(gitDir, 'info', 'attributes'), PLAIN_ATTRIBUTES);
  await writeFile(join(gitDir, 'info', 'sparse-checkout'), '/*\n!/*/\n');
  const core =
    '[core]\n\trepositoryFormatVersion = 1\n\tbare = false\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n';
  await writeFile(join(gitDir, 'config'), `${core}${promisorConfig(mirror.remote.url.git)}`);
}
