import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { type CatalogFolder, copyFolder, isFolder } from './folders.ts';
import { DEPRECATIONS } from './names.ts';
import type { Opm } from './opm.ts';
import { type OpmSurroundings, validateDir } from './opm-commands.ts';
import { type CatalogTree, deprecationsDir, foldersOf, packageDir } from './tree.ts';

/**
 * Validates packages of a catalog, and nothing else of it: all of opm's rules look at one package at a time
 * (opm-and-index-db.md §4.3). Packages without a folder are left out; without any there is nothing to do.
 *
 * @param packages included packages
 * @param origins where the files came from, if they had other names there: a file that opm does not read is told as
 *   the one who made it knows it
 * @throws Failure `catalog_invalid` with opm's findings, `opm_crashed`, `process_timeout`
 */
export async function validatePackages(
  opm: Opm,
  tree: CatalogTree,
  packages: readonly string[],
  around: OpmSurroundings,
  origins?: readonly CatalogFolder[],
): Promise<void> {
  const parent = await mkdtemp(join(around.scratch ?? tmpdir(), 'validate-'));
  // This name shows in the text of a failure.
  const dir = join(parent, 'configs');
  try {
    await mkdir(dir);
    let found = 0;
    for (const name of packages) {
      if (!(await isFolder(packageDir(tree, name), name))) continue;
      found++;
      // Copies, since opm does not walk into linked folders.
      await copyFolder(packageDir(tree, name), join(dir, name), name);
      const deprecations = deprecationsDir(tree, name);
      if (await isFolder(deprecations, `${DEPRECATIONS}/${name}`)) {
        await copyFolder(deprecations, join(dir, DEPRECATIONS, name), `${DEPRECATIONS}/${name}`);
      }
    }
    if (found === 0) return;
    await copyIgnoreFile(tree.configsDir, dir);
    await validateDir(opm, dir, around).catch(async (failure: unknown) => {
      if (!(failure instanceof Failure) || failure.code !== 'catalog_invalid' || isAboutPackages(failure))
        throw failure;
      const folders = packages.flatMap((name) => Object.values(foldersOf(tree, name)));
      throw (await tree.reader.culprit(origins ?? folders)) ?? failure;
    });
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

/** Whether opm has read all files: what it says of packages names all there is to name. */
function isAboutPackages({ message }: Failure): boolean {
  return message.includes('invalid index:');
}

async function copyIgnoreFile(from: string, to: string): Promise<void> {
  const name = '.indexignore';
  await copyFile(join(from, name), join(to, name), constants.COPYFILE_EXCL).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  });
}
