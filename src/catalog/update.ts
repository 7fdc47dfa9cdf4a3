import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { changesBetween, type PackageChange } from './changes.ts';
import type { IndexDbEngine } from './engine.ts';
import { mergeMigrated } from './files.ts';
import { isFolder } from './folders.ts';
import { type PackageModel, packageModels } from './model.ts';
import { assertPackageName } from './names.ts';
import type { Opm } from './opm.ts';
import type { OpmSurroundings } from './opm-commands.ts';
import { type CatalogTree, foldersOf, packageDir } from './tree.ts';
import { validatePackages } from './validate.ts';

/**
 * Reads the present state of some packages of the catalog, brought to disk first; those that are not there are left out.
 *
 * @throws Failure `catalog_invalid`
 */
export async function readPackages(tree: CatalogTree, names: readonly string[]): Promise<PackageModel[]> {
  await tree.include(names);
  const models: PackageModel[] = [];
  for (const name of names) {
    if (!(await isFolder(packageDir(tree, name), name))) continue;
    const { own, deprecations } = foldersOf(tree, name);
    const files = [...(await tree.reader.read(own)), ...(await tree.reader.read(deprecations))];
    models.push(...packageModels(files.flatMap(({ blobs }) => blobs)));
  }
  return models;
}

/**
 * Brings packages of a changed index.db into the catalog: migrates them, merges them over what is there, validates the
 * packages that changed, and tells what changed (request-handling.md §10.1, steps 10 to 12).
 *
 * @param of.packages what the engine's changes gave; none is fine
 * @param of.emptied those of them with deprecated bundles, see `mergeMigrated`
 * @param of.scratch an existing folder for the migrated files
 * @throws Failure `opm_refused`, `catalog_invalid`, `package_name_unsafe`, `opm_crashed`, `process_timeout`
 */
export async function updateFromDb(of: {
  engine: IndexDbEngine;
  opm: Opm;
  around: OpmSurroundings;
  db: string;
  tree: CatalogTree;
  packages: readonly string[];
  emptied?: readonly string[];
  scratch: string;
}): Promise<PackageChange[]> {
  const { tree, packages } = of;
  if (packages.length === 0) return [];
  // opm makes a folder of whatever name a bundle has put into the database.
  for (const name of packages) assertPackageName(name);
  const before = await readPackages(tree, packages);
  const dir = join(of.scratch, 'migrated');
  try {
    await of.engine.migrate(of.db, dir, packages);
    const merged = await mergeMigrated(tree, { dir, packages, emptied: of.emptied ?? [] });
    await validatePackages(of.opm, tree, merged.written, of.around);
    return changesBetween(before, await readPackages(tree, packages), merged.written);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
