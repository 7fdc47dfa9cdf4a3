import { readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { pruneDeprecations, removeDeprecations } from './deprecations.ts';
import { isDeprecations, readCatalogFiles } from './fbc.ts';
import { copyFolder, isFolder } from './folders.ts';
import { enforceJson } from './json-rules.ts';
import { packageModels } from './model.ts';
import { assertPackageName, DEPRECATIONS } from './names.ts';
import { type CatalogTree, deprecationsDir, foldersIn, packageDir } from './tree.ts';

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
 * @throws Failure `package_name_unsafe`; `catalog_invalid` also when it defines a package that has another folder
 */
export async function replacePackage(tree: CatalogTree, name: string, fragmentDir: string): Promise<void> {
  assertPackageName(name);
  await tree.include([name]);
  const dir = packageDir(tree, name);
  if (await isFolder(dir, name)) await rm(dir, { recursive: true });
  await assertAllSeen(join(fragmentDir, name), name);
  await copyFolder(join(fragmentDir, name), dir, name);
  await enforceJson(dir, name);
  const blobs = (await readCatalogFiles(dir)).flatMap((file) => file.blobs);
  const models = packageModels(blobs);
  if (models.length === 0) {
    // opm takes an empty folder for nothing wrong, and the package would be gone.
    throw new Failure('catalog_invalid', `The fragment's folder ${name} defines no package`);
  }
  await assertNotElsewhere(tree, name, models);

  const brought = join(fragmentDir, DEPRECATIONS, name);
  const shown = `${DEPRECATIONS}/${name}`;
  if (await isFolder(brought, shown)) {
    await assertAllSeen(brought, shown);
    await removeDeprecations(tree, name);
    await copyFolder(brought, deprecationsDir(tree, name), shown);
    await enforceJson(deprecationsDir(tree, name), shown);
  } else if (blobs.some(isDeprecations)) {
    await removeDeprecations(tree, name);
  } else {
    for (const model of models) await pruneDeprecations(tree, model);
  }
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
