import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { commitTree, gitText, NO_COMMIT } from './git.ts';
import { moveAndTell } from './push-queue.ts';
import type { Project, User } from './records.ts';
import { repositoryOf, type World } from './world.ts';

/** Files by path, or a directory to take them from. */
export type Files = Record<string, string | Buffer> | string;

/** Makes a first commit of files on a branch that does not exist yet and gives its SHA. */
export async function startingCommit(
  world: World,
  project: Project,
  user: User,
  branch: string,
  files: Files,
  message = 'Initial commit',
): Promise<string> {
  const repository = repositoryOf(world, project);
  const author = { name: user.name, email: user.email };
  const tree = await treeOf(repository, typeof files === 'string' ? await readFiles(files) : files);
  const commit = await commitTree(repository, { tree, parents: [], message, author });
  const move = { ref: `refs/heads/${branch}`, from: NO_COMMIT, to: commit };
  await world.alone(project, () => moveAndTell(world, project, user, [move]));
  return commit;
}

async function readFiles(dir: string): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {};
  for (const name of await readdir(dir, { recursive: true })) {
    const file = join(dir, name);
    if (name.split('/').includes('.git') || !(await stat(file)).isFile()) continue;
    files[relative(dir, file)] = await readFile(file);
  }
  return files;
}

/** Writes all files with one `git fast-import`-sized call each would be slow: blobs go in by one pack of input. */
async function treeOf(repository: string, files: Record<string, string | Buffer>): Promise<string> {
  const entries = Object.entries(files);
  const parts: Buffer[] = [];
  entries.forEach(([, content], at) => {
    const bytes = Buffer.from(content);
    parts.push(Buffer.from(`blob\nmark :${at + 1}\ndata ${bytes.length}\n`), bytes, Buffer.from('\n'));
  });
  parts.push(Buffer.from('commit refs/seed\ncommitter seed <seed@localhost> 0 +0000\ndata 4\nseed\n'));
  entries.forEach(([path], at) => {
    parts.push(Buffer.from(`M 100644 :${at + 1} ${JSON.stringify(path)}\n`));
  });
  await gitText(repository, ['fast-import', '--quiet', '--force'], { input: Buffer.concat(parts) });
  const tree = await gitText(repository, ['rev-parse', 'refs/seed^{tree}']);
  await gitText(repository, ['update-ref', '-d', 'refs/seed']);
  return tree;
}
