import { readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { pruneDeprecations, removeDeprecations } from './deprecations.ts';
import { type FbcBlob, isDeprecations } from './fbc.ts';
import { type CatalogFolder, copyFolder, isFolder } from './folders.ts';
import { enforceJson } from './json-rules.ts';
import { packageModels } from './model.ts';
import { assertPackageName, DEPRECATIONS } from './names.ts';
import { notUtf8 } from './reader.ts';
import { type CatalogTree, foldersIn, foldersOf } from './tree.ts';

/** What an unpacked file-based catalog fragment holds, names sorted. */
export interface FragmentContent {
  packages: string[];
  /** Packages it has deprecations for without bringing them: these are not its own to deprecate. */
  strangers: string[];
}

/**
 * Reads the catalog folder of an unpacked fragment: every entry is a package, but for the folder of deprecations
 * (request-handling.md §10.4).
 *
 * @param fragment.dir where the fragment's catalog folder was unpacked to
 * @param fragment.path that folder's path inside the image, for the text
 * @throws Failure `catalog_invalid` when it is absent, empty or holds loose files; `package_name_unsafe`
 */
export async function readFragment(fragment: { dir: string; path: string; image: string }): Promise<FragmentContent> {
  const entries = await readdir(fragment.dir, { withFileTypes: true }).catch((cause: unknown) => {
    const message = `FBC fragment catalog directory not found at ${fragment.path} after extracting ${fragment.image}`;
    throw new Failure('catalog_invalid', message, { cause });
  });
  const packages: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) {
      const message = `The fbc_fragment ${fragment.image} has ${entry.name} beside its packages; only folders belong there`;
      throw new Failure('catalog_invalid', message);
    }
    if (entry.name === DEPRECATIONS) continue;
    assertPackageName(entry.name);
    packages.push(entry.name);
  }
  if (packages.length === 0) {
    throw new Failure('catalog_invalid', `No operator packages in fbc_fragment ${fragment.image}`);
  }
  const deprecated = await foldersIn(join(fragment.dir, DEPRECATIONS));
  return { packages: packages.sort(), strangers: deprecated.filter((name) => !packages.includes(name)).sort() };
}

/**
 * Puts a fragment's package into the catalog, in place of the folder there; YAML becomes JSON. Deprecations that the
 * fragment brings take the place of those there; else these stay, without what the package does not have any more.
 *
 * @param fragmentDir the unpacked fragment's catalog folder
 * @throws Failure `package_name_unsafe`; `catalog_invalid`, with the fragment's own names of files, also when it defines
 *   a package that has another folder
 */
export async function replacePackage(tree: CatalogTree, name: string, fragmentDir: string): Promise<void> {
  assertPackageName(name);
  await tree.include([name]);
  const { own, deprecations } = foldersOf(tree, name);
  const brought = foldersOfFragment(fragmentDir, name);
  if (await isFolder(own.dir, name)) await rm(own.dir, { recursive: true });
  const blobs = await bring(tree, brought.own, own);
  const models = packageModels(blobs);
  if (models.length === 0) {
    // opm takes an empty folder for nothing wrong, and the package would be gone.
    throw new Failure('catalog_invalid', `The fragment's folder ${name} defines no package`);
  }
  await assertNotElsewhere(tree, name, models);

  if (await isFolder(brought.deprecations.dir, brought.deprecations.shown)) {
    await removeDeprecations(tree, name);
    await bring(tree, brought.deprecations, deprecations);
  } else if (blobs.some(isDeprecations)) {
    await removeDeprecations(tree, name);
  } else {
    for (const model of models) await pruneDeprecations(tree, model);
  }
}

/** The folders of a package in an unpacked fragment: its own, and that of its deprecations, which need not be there. */
export function foldersOfFragment(fragmentDir: string, name: string) {
  const folder = (shown: string): CatalogFolder => ({ root: fragmentDir, dir: join(fragmentDir, shown), shown });
  return { own: folder(name), deprecations: folder(join(DEPRECATIONS, name)) };
}

/** Copies a fragment's folder into the catalog, as JSON, and reads it; files are told by the names they have there. */
async function bring({ reader }: CatalogTree, from: CatalogFolder, to: CatalogFolder): Promise<FbcBlob[]> {
  await assertAllSeen(from.dir, from.shown);
  await copyFolder(from.dir, to.dir, from.shown);
  const seen = new Set(await reader.files(to));
  for (const file of await reader.files(from)) {
    const shown = join(from.shown, file);
    // opm takes JSON that is not UTF-8, and serves other text than was meant.
    if ((await reader.kindOf(from, file)) === 'not UTF-8') throw notUtf8(shown);
    if (seen.has(file) || (await reader.readFile(from, file)).length === 0) continue;
    const message = `The catalog's .indexignore hides ${shown}; give the file another name`;
    throw new Failure('catalog_invalid', message);
  }
  const names = await enforceJson(reader, to);
  return (await reader.read({ ...to, names })).flatMap(({ blobs }) => blobs);
}

/** Names that make git or opm leave out what is beside or below them. */
const HIDING = /^\.(git|indexignore)$/i;

/** What a fragment brings must be what is committed and what opm serves. */
async function assertAllSeen(dir: string, shown: string): Promise<void> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const hiding = entries.find((entry) => HIDING.test(entry.name));
  if (hiding === undefined) return;
  const path = join(shown, relative(dir, hiding.parentPath), hiding.name);
  throw new Failure('catalog_invalid', `The fragment has ${path}, which would hide a part of it: it must not be there`);
}

async function assertNotElsewhere(tree: CatalogTree, folder: string, models: readonly { name: string }[]) {
  const others = (await tree.packages()).filter((other) => other !== folder);
  for (const model of models) {
    if (others.includes(model.name)) {
      throw new Failure('catalog_invalid', `duplicate package "${model.name}": also defined in the folder ${folder}`);
    }
  }
}
