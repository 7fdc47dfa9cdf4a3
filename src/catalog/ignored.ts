import { copyFile, lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';
import { type CatalogFolder, filesBelow } from './folders.ts';

/** opm's name for it. */
export const IGNORE_FILE = '.indexignore';

/** Whether a file tells opm what to leave out. */
export const isIgnoreFile = (name: string): boolean => basename(name) === IGNORE_FILE;

/**
 * Names of the files in a folder that opm reads, sorted: all of them but those that ignore files in the folder, or
 * above it in its catalog, leave out. Where there are such files, opm says what their patterns mean: it is given a
 * catalog in which each file holds its own number.
 *
 * @param of.schemas gives the schemas of all documents that opm finds below a folder
 * @throws Failure what `schemas` throws
 */
export async function filesSeen(
  { root, dir }: CatalogFolder,
  of: { schemas(dir: string): Promise<string[]>; scratch: string | undefined },
): Promise<string[]> {
  const all = await filesBelow(dir);
  const files = all.filter((name) => !isIgnoreFile(name));
  const ignoring = [...(await ignoreFilesAbove(root, dir)), ...all.filter(isIgnoreFile).map((name) => join(dir, name))];
  if (files.length === 0 || ignoring.length === 0) return files;

  const copy = await mkdtemp(join(of.scratch ?? tmpdir(), 'seen-'));
  try {
    for (const path of ignoring) await put(join(copy, relative(root, path)), (to) => copyFile(path, to));
    for (const [number, name] of files.entries()) {
      const path = join(copy, relative(root, dir), name);
      await put(path, (to) => writeFile(to, JSON.stringify({ schema: String(number) })));
    }
    const seen = new Set(await of.schemas(copy));
    return files.filter((_, number) => seen.has(String(number)));
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function ignoreFilesAbove(root: string, dir: string): Promise<string[]> {
  const found: string[] = [];
  let at = root;
  for (const segment of relative(root, dir).split(sep)) {
    if (segment === '') break;
    const path = join(at, IGNORE_FILE);
    const there = await lstat(path).catch((thrown: unknown) => {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw thrown;
    });
    if (there?.isFile()) found.push(path);
    at = join(at, segment);
  }
  return found;
}

async function put(path: string, write: (to: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await write(path);
}
