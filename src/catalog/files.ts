import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { pruneDeprecations } from './deprecations.ts';
import { type FbcBlob, isBundle, isChannel, isPackage } from './fbc.ts';
import { isFolder, writeWhole } from './folders.ts';
import { enforceJson, freeName } from './json-rules.ts';
import { packageModels } from './model.ts';
import { assertPackageName, DEPRECATIONS } from './names.ts';
import type { CatalogFile } from './reader.ts';
import { type CatalogTree, foldersOf } from './tree.ts';

/** What a merge did, names sorted. */
export interface Merged {
  /** Packages whose folders changed. */
  written: string[];
  /** Packages that keep every byte. */
  unchanged: string[];
  /** Packages that are not in the database any more, and now not in the catalog either. */
  removed: string[];
}

/**
 * Brings packages from a migrated database into the catalog (request-handling.md §10.9): a package whose `catalog.json`
 * is the same already is not touched; otherwise the new file replaces all that came from the database before, in
 * whatever files it was, and what the database does not know (deprecations, other schemas) stays, as JSON.
 *
 * @param from.dir what `IndexDbEngine.migrate` wrote
 * @param from.packages the packages that were migrated; those without a folder in `dir` are removed from the catalog
 * @param from.emptied packages whose folders lose all they have first: those with deprecated bundles
 * @throws Failure `package_name_unsafe`, `catalog_invalid`
 */
export async function mergeMigrated(
  tree: CatalogTree,
  from: { dir: string; packages: readonly string[]; emptied?: readonly string[] },
): Promise<Merged> {
  for (const name of from.packages) assertPackageName(name);
  await tree.include(from.packages);
  const there = new Set(await tree.packages());
  const merged: Merged = { written: [], unchanged: [], removed: [] };
  for (const name of [...from.packages].sort()) {
    const catalog = await contentOf(join(from.dir, name, 'catalog.json'));
    if (catalog === undefined) {
      await tree.remove(name);
      if (there.has(name)) merged.removed.push(name);
    } else if (
      await mergePackage(tree, name, catalog, from.emptied?.includes(name) ? 'empty first' : 'keep the rest')
    ) {
      merged.written.push(name);
    } else {
      merged.unchanged.push(name);
    }
  }
  return merged;
}

/** @returns whether anything was written */
async function mergePackage(
  tree: CatalogTree,
  name: string,
  catalog: Buffer,
  rest: 'empty first' | 'keep the rest',
): Promise<boolean> {
  const { reader } = tree;
  const { own, deprecations } = foldersOf(tree, name);
  const { dir } = own;
  const path = join(dir, CATALOG);
  const there = await isFolder(dir, name);
  const stale = there ? (await reader.read(own, { except: [CATALOG] })).filter(definesPackage) : [];
  if (stale.length === 0 && (await contentOf(path))?.equals(catalog)) return false;
  if (there && rest === 'empty first') await rm(dir, { recursive: true });
  else {
    for (const { file } of stale) await reader.filter(own, file, { keep: 'not from a database' });
    await setAside(tree, name);
  }
  await writeWhole(path, catalog);
  await enforceJson(reader, own);
  if (await isFolder(join(tree.configsDir, DEPRECATIONS), DEPRECATIONS)) {
    if (await isFolder(deprecations.dir, deprecations.shown)) await enforceJson(reader, deprecations);
  }
  const blobs = (await reader.read(own)).flatMap((file) => file.blobs);
  for (const model of packageModels(blobs)) await pruneDeprecations(tree, model);
  return true;
}

/** opm's own file of a package. */
const CATALOG = 'catalog.json';

const isFromDatabase = (blob: FbcBlob) => isPackage(blob) || isChannel(blob) || isBundle(blob);

/** Whether a file beside {@link CATALOG} defines the package a second time. */
const definesPackage = ({ blobs }: CatalogFile) => blobs.some(isFromDatabase);

/** Keeps what opm's file has that no database knows of, in a file beside it: somebody else has written it. */
async function setAside(tree: CatalogTree, name: string): Promise<void> {
  const { own } = foldersOf(tree, name);
  const found = (await tree.reader.files(own)).includes(CATALOG) ? await tree.reader.readFile(own, CATALOG) : [];
  if (found.every(isFromDatabase)) return;
  await tree.reader.filter(own, CATALOG, { keep: 'not from a database' });
  await rename(join(own.dir, CATALOG), join(own.dir, await freeName(own.dir, CATALOG)));
}

/**
 * Removes a package from the catalog, with its deprecations.
 *
 * @returns whether it was there
 * @throws Failure `package_name_unsafe`
 */
export async function removePackage(tree: CatalogTree, name: string): Promise<boolean> {
  assertPackageName(name);
  const there = (await tree.packages()).includes(name);
  await tree.remove(name);
  return there;
}

/**
 * Empties the catalog; `.gitkeep` makes git keep the folder (request-handling.md §10.5).
 *
 * @returns names of the packages that were there
 */
export async function emptyCatalog(tree: CatalogTree): Promise<string[]> {
  const names = await tree.packages();
  await tree.clear();
  await writeWhole(join(tree.configsDir, '.gitkeep'), '');
  return names;
}

/**
 * Refuses to add bundles to packages that exist in the catalog only: the database's one-bundle package would replace
 * what is there (request-handling.md §18, H17).
 *
 * @param indexed packages of index.db, as `packagesIn` gives them
 * @throws Failure `package_only_in_catalog`
 */
export async function assertNotCatalogOnly(
  tree: CatalogTree,
  indexed: readonly string[],
  names: readonly string[],
): Promise<void> {
  const inCatalog = new Set(await tree.packages());
  const refused = names.filter((name) => inCatalog.has(name) && !indexed.includes(name));
  if (refused.length > 0) {
    throw new Failure(
      'package_only_in_catalog',
      `Bundles cannot be added to ${refused.join(', ')}: the index has ${refused.length === 1 ? 'this package' : 'these packages'} as file-based catalog only. Update the file-based catalog instead.`,
    );
  }
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  });
}
