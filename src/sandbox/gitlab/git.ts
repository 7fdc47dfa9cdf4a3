import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { start } from '../../process/launcher.ts';
import { childEnvironment } from '../../process/run.ts';

export const NO_COMMIT = '0'.repeat(40);

export interface GitResult {
  code: number;
  stdout: Buffer;
  stderr: string;
}

/** git said no, or the object asked for is not there. */
export class GitRefused extends Error {}

const SETTINGS: Record<string, string> = {
  'safe.directory': '*',
  'gc.auto': '0',
  'receive.autogc': 'false',
  'maintenance.auto': 'false',
  'core.quotePath': 'false',
  'diff.renames': 'true',
  'uploadpack.allowFilter': 'true',
  'uploadpack.allowAnySHA1InWant': 'true',
  'http.receivepack': 'true',
  // Real GitLab hides these too: they only keep commits from being collected.
  'transfer.hideRefs': 'refs/keep-around',
};

/** The environment of the server's git: no configuration of the machine, nothing that runs on in the background. */
export function gitEnvironment(settings: Record<string, string> = {}): Record<string, string> {
  const all = Object.entries({ ...SETTINGS, ...settings });
  const numbered = all.flatMap(([key, value], at) => [
    [`GIT_CONFIG_KEY_${at}`, key],
    [`GIT_CONFIG_VALUE_${at}`, value],
  ]);
  return childEnvironment({
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
    GIT_CONFIG_COUNT: String(all.length),
    ...Object.fromEntries(numbered),
  });
}

/** What git has said about objects that cannot change; a process for each look would cost more than the look. */
const known = new Map<string, GitResult>();
/** Newest answers that are kept, each of at most so many bytes. */
const KNOWN = { answers: 1000, bytes: 65_536 };

const LOOKS = new Set(['log', 'rev-list', 'rev-parse', 'ls-tree', 'cat-file', 'diff-tree', 'merge-base']);
const BY_ID = /^\^?[0-9a-f]{40}(\^\{\w+\}|:.*)?$/s;

/** Whether the answer depends on nothing but objects named by their ids. */
function staysTrue([command = '', ...args]: string[]): boolean {
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  const named = args.slice(0, end).filter((arg) => !arg.startsWith('-') && !(command === 'cat-file' && arg === 'blob'));
  return LOOKS.has(command) && named.length > 0 && named.every((name) => BY_ID.test(name));
}

/** Runs the server's git in a bare repository and gives its exit code and output, at once where it is known. */
export async function git(repository: string, args: string[], options: GitOptions = {}): Promise<GitResult> {
  if (!staysTrue(args)) return run(repository, args, options);
  const key = [repository, ...args].join('\0');
  const before = known.get(key);
  if (before !== undefined) return before;
  const result = await run(repository, args, options);
  // What is not there now may come.
  if (result.code !== 0 || result.stdout.length > KNOWN.bytes) return result;
  known.set(key, result);
  const [oldest] = known.keys();
  if (known.size > KNOWN.answers && oldest !== undefined) known.delete(oldest);
  return result;
}

interface GitOptions {
  input?: string | Buffer;
  env?: Record<string, string>;
}

/**
 * Not `process/run.ts`: its places are shared with the clients in the same process, and a client's push that waits for
 * this server while holding a place would wait for ever.
 */
async function run(repository: string, args: string[], { input, env }: GitOptions): Promise<GitResult> {
  const child = start({ file: 'git', args, cwd: repository, env: { ...gitEnvironment(), ...env }, input });
  const { exitCode, stdout, stderr, error } = await child.ended;
  if (error !== undefined) throw new Error(`git could not be started: ${error}`);
  return { code: exitCode ?? -1, stdout, stderr: stderr.toString() };
}

/** Output of a git command without the final newline. @throws GitRefused when it exits non-zero */
export async function gitText(repository: string, args: string[], options: GitOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await git(repository, args, options);
  if (code !== 0) throw new GitRefused(stderr.trim() || `git ${args[0]} exited with ${code}`);
  return stdout.toString().replace(/\n$/, '');
}

/** The commit a name stands for (branch, tag, SHA, full ref), branches first; undefined when there is none. */
export async function commitOf(repository: string, name: string): Promise<string | undefined> {
  if (name === '' || name.startsWith('-') || name.includes('..')) return undefined;
  // GitLab lets no branch or tag be called like a commit.
  const tries =
    name.startsWith('refs/') || /^[0-9a-f]{40}$/.test(name)
      ? [name]
      : [`refs/heads/${name}`, `refs/tags/${name}`, name];
  for (const candidate of tries) {
    const commit = await peel(repository, candidate);
    if (commit !== undefined) return commit;
  }
  return undefined;
}

/** The commit of a full ref or an id; that of a branch from the file that git keeps for it, if there is one, without a process. */
async function peel(repository: string, name: string): Promise<string | undefined> {
  if (/^refs\/heads\/[\w./-]+$/.test(name) && !name.includes('..')) {
    const text = await readFile(join(repository, name), 'utf8').catch(() => '');
    if (/^[0-9a-f]{40}\n$/.test(text)) return text.trim();
  }
  const { code, stdout } = await git(repository, ['rev-parse', '--verify', '--quiet', `${name}^{commit}`]);
  return code === 0 ? stdout.toString().trim() : undefined;
}

/** The commit at the tip of a branch; undefined when the branch is not there. */
export function branchTip(repository: string, branch: string): Promise<string | undefined> {
  return peel(repository, `refs/heads/${branch}`);
}

/** Best common ancestor; undefined for unrelated histories. */
export async function mergeBase(repository: string, one: string, other: string): Promise<string | undefined> {
  const { code, stdout } = await git(repository, ['merge-base', one, other]);
  return code === 0 ? stdout.toString().trim() : undefined;
}

export async function isAncestor(repository: string, older: string, newer: string): Promise<boolean> {
  return (await git(repository, ['merge-base', '--is-ancestor', older, newer])).code === 0;
}

/**
 * Moves refs in one transaction, each only from its old value (all zeros: must be absent / goes away).
 *
 * @throws GitRefused when one of them is not at its old value any more; then none has moved
 */
export async function moveRefs(repository: string, moves: { ref: string; from?: string; to: string }[]): Promise<void> {
  const lines = moves.map(({ ref, from, to }) =>
    to === NO_COMMIT ? `delete ${ref}${from ? ` ${from}` : ''}` : `update ${ref} ${to}${from ? ` ${from}` : ''}`,
  );
  await gitText(repository, ['update-ref', '--stdin'], { input: `${lines.join('\n')}\n` });
}

/** Three-way merge of two commits: the tree, or the paths in conflict. */
export async function mergeTrees(
  repository: string,
  ours: string,
  theirs: string,
  base?: string,
): Promise<{ tree: string } | { conflicts: string[] }> {
  // `--merge-base` of merge-tree came after git 2.39, so an explicit base is given by a commit whose parent it is.
  const other = base === undefined ? theirs : await graft(repository, theirs, base);
  const mine = base === undefined ? ours : await graft(repository, ours, base);
  const { code, stdout, stderr } = await git(repository, [
    'merge-tree',
    '--write-tree',
    '--name-only',
    '--no-messages',
    '--allow-unrelated-histories',
    mine,
    other,
  ]);
  const [tree = '', ...conflicts] = stdout.toString().trim().split('\n');
  if (code === 0) return { tree };
  if (code === 1) return { conflicts: conflicts.filter(Boolean) };
  throw new GitRefused(stderr.trim());
}

/** A commit with the tree of one commit whose only parent is another. */
async function graft(repository: string, commit: string, parent: string): Promise<string> {
  if (commit === parent) return commit;
  return gitText(repository, ['commit-tree', `${commit}^{tree}`, '-p', parent, '-m', 'graft'], {
    env: signature({ name: 'graft', email: 'graft@localhost' }),
  });
}

export interface Person {
  name: string;
  email: string;
  /** ISO moment or git's raw form; now when left out. */
  date?: string;
}

/** Author and committer for `git commit-tree`. */
export function signature(author: Person, committer: Person = author): Record<string, string> {
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    ...(author.date === undefined ? {} : { GIT_AUTHOR_DATE: author.date }),
    GIT_COMMITTER_NAME: committer.name,
    GIT_COMMITTER_EMAIL: committer.email,
    ...(committer.date === undefined ? {} : { GIT_COMMITTER_DATE: committer.date }),
  };
}

/** Makes a commit of a tree. */
export function commitTree(
  repository: string,
  commit: { tree: string; parents: string[]; message: string; author: Person; committer?: Person },
): Promise<string> {
  const parents = commit.parents.flatMap((parent) => ['-p', parent]);
  return gitText(repository, ['commit-tree', commit.tree, ...parents], {
    input: commit.message,
    env: signature(commit.author, commit.committer),
  });
}

/** Makes an empty bare repository. */
export async function createRepository(repository: string): Promise<void> {
  await gitText('/', ['init', '--bare', '--quiet', '--initial-branch=main', '--template=', repository]);
}
