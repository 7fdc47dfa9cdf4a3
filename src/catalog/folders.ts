import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Failure } from '../errors/failure.ts';

/** A folder of catalog files. */
export interface CatalogFolder {
  /** Absolute path of the catalog that the folder is in: ignore files count from here on. */
  root: string;
  /** Absolute path. */
  dir: string;
  /** Its name for texts, as the one who made it knows it. */
  shown: string;
  /** Names that files had before they were made JSON, by the names they have now. */
  names?: ReadonlyMap<string, string>;
}

/**
 * Names of the regular files below a folder, relative to it, sorted; none when it is not there. Links are not followed.
 */
export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .sort();
}

/**
 * Whether a folder is there; anything else in its place is refused, a link above all: writing through it would leave
 * the catalog.
 *
 * @param shown name for texts, without local path
 * @throws Failure `catalog_invalid`
 */
export async function isFolder(path: string, shown: string): Promise<boolean> {
  const found = await lstat(path).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  });
  if (found !== undefined && !found.isDirectory()) {
    throw new Failure('catalog_invalid', `${shown} in the catalog is not a folder`);
  }
  return found !== undefined;
}

/**
 * Copies a folder of regular files. What is there already at the destination stays, files of the same name excepted.
 *
 * @param shown name of the folder for texts, without local path
 * @throws Failure `catalog_invalid` for links and special files
 */
export async function copyFolder(from: string, to: string, shown: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target, name] = [join(from, entry.name), join(to, entry.name), `${shown}/${entry.name}`];
    if (entry.isDirectory()) await copyFolder(source, target, name);
    else if (entry.isFile()) await copyFile(source, target);
    else
      throw new Failure(
        'catalog_invalid',
        `${name} is neither a file nor a folder; links are not allowed in a catalog`,
      );
  }
}

/** Writes a file so that a link of that name is replaced and never followed, and nobody sees half of it. */
export async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  await putWhole(path, (fresh) => writeFile(fresh, content, { flag: 'wx' }));
}

/** Puts a copy of a file in place as {@link writeWhole} does. */
export async function copyWhole(from: string, path: string): Promise<void> {
  await putWhole(path, (fresh) => copyFile(from, fresh, constants.COPYFILE_EXCL));
}

async function putWhole(path: string, make: (fresh: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = join(dirname(path), `.${randomUUID()}`);
  try {
    await make(fresh);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}
