import { git, gitText, NO_COMMIT, type Person } from './git.ts';

export interface Commit {
  id: string;
  parent_ids: string[];
  author: Required<Person>;
  committer: Required<Person>;
  message: string;
  title: string;
}

const FORMAT = ['%H', '%P', '%an', '%ae', '%aI', '%cn', '%ce', '%cI', '%B'].join('%x1f');

/** Commits as `git log` lists them for the given arguments, newest first. @throws GitRefused */
export async function readCommits(repository: string, args: string[]): Promise<Commit[]> {
  const out = await gitText(repository, ['log', '-z', `--format=${FORMAT}`, ...args]);
  return out
    .split('\0')
    .filter((record) => record !== '')
    .map(parseCommit);
}

/** One commit that is known to exist. @throws GitRefused */
export async function readCommit(repository: string, sha: string): Promise<Commit> {
  const [commit] = await readCommits(repository, ['-1', sha, '--']);
  if (commit === undefined) throw new Error(`no commit ${sha}`);
  return commit;
}

function parseCommit(record: string): Commit {
  const [id = '', parents = '', an = '', ae = '', ad = '', cn = '', ce = '', cd = '', ...rest] = record.split('\x1f');
  // `%B` ends with one more newline than the message has.
  const message = rest.join('\x1f').replace(/\n$/, '');
  return {
    id,
    parent_ids: parents.split(' ').filter(Boolean),
    author: { name: an, email: ae, date: ad },
    committer: { name: cn, email: ce, date: cd },
    message,
    title: message.split('\n', 1)[0] ?? '',
  };
}

export interface FileChange {
  old_path: string;
  new_path: string;
  a_mode: string;
  b_mode: string;
  new_file: boolean;
  renamed_file: boolean;
  deleted_file: boolean;
}

/** What changed between two trees, without the patches. `from` all zeros or undefined: everything is new. */
export async function readChanges(repository: string, from: string | undefined, to: string): Promise<FileChange[]> {
  const out = await gitText(repository, ['diff-tree', '-r', '-M', '-z', '--raw', '--no-abbrev', ...span(from, to)]);
  const parts = out.split('\0');
  const changes: FileChange[] = [];
  for (let at = 0; at + 1 < parts.length; ) {
    const [oldMode = '', newMode = '', , , kind = ''] = (parts[at] ?? '').slice(1).split(' ');
    const renamed = kind.startsWith('R') || kind.startsWith('C');
    const oldPath = parts[at + 1] ?? '';
    const newPath = renamed ? (parts[at + 2] ?? '') : oldPath;
    at += renamed ? 3 : 2;
    changes.push({
      old_path: oldPath,
      new_path: newPath,
      a_mode: trimMode(oldMode),
      b_mode: trimMode(newMode),
      new_file: kind === 'A',
      renamed_file: renamed,
      deleted_file: kind === 'D',
    });
  }
  return changes;
}

const trimMode = (mode: string) => (mode === '000000' ? '0' : mode);

const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const span = (from: string | undefined, to: string) => [
  from === undefined || from === NO_COMMIT ? EMPTY_TREE : from,
  to,
];

export interface Diff extends FileChange {
  diff: string;
  generated_file: boolean;
  collapsed: boolean;
  too_large: boolean;
}

/** GitLab leaves out patches larger than this (bytes). */
const LARGE_PATCH = 200 * 1024;

/** The changes between two trees with their patches, as the diff endpoints show them (from the first `@@` on). */
export async function readDiffs(repository: string, from: string | undefined, to: string): Promise<Diff[]> {
  const changes = await readChanges(repository, from, to);
  const { stdout } = await git(repository, ['diff-tree', '-r', '-M', '-p', '--no-color', ...span(from, to)]);
  const patches = stdout
    .toString()
    .split(/^(?=diff --git )/m)
    .filter(Boolean);
  return changes.map((change, at) => {
    const patch = patches[at] ?? '';
    const body = patch.match(/^(@@ |Binary files )/m);
    const diff = body?.index === undefined ? '' : patch.slice(body.index);
    const large = diff.length > LARGE_PATCH;
    return { ...change, diff: large ? '' : diff, generated_file: false, collapsed: false, too_large: large };
  });
}

/** Paths by kind of change, as hooks list them. */
export async function readChangedPaths(
  repository: string,
  commit: Commit,
): Promise<{ added: string[]; modified: string[]; removed: string[] }> {
  const changes = await readChanges(repository, commit.parent_ids[0], commit.id);
  const paths = (matches: (change: FileChange) => boolean) =>
    changes.filter(matches).map((change) => (change.deleted_file ? change.old_path : change.new_path));
  return {
    added: paths((change) => change.new_file),
    modified: paths((change) => !change.new_file && !change.deleted_file),
    removed: paths((change) => change.deleted_file),
  };
}
