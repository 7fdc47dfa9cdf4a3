import { readdir, rm } from 'node:fs/promises';
import { Failure } from '../errors/failure.ts';
import { copyFolder, isFolder } from './folders.ts';
import { enforceJson } from './json-rules.ts';
import { readPackageModels } from './model.ts';
import { assertPackageName } from './names.ts';
import { type CatalogTree, packageDir } from './tree.ts';

/**
 * The packages of an unpacked file-based catalog fragment: every entry of its catalog folder (request-handling.md §10.4).
 *
 * @param fragment.dir where the fragment's catalog folder was unpacked to
 * @param fragment.path that folder's path inside the image, for the text
 * @throws Failure `catalog_invalid` when it is absent, empty or holds loose files; `package_name_unsafe`
 */
export async function fragmentPackages(fragment: { dir: string; path: string; image: string }): Promise<string[]> {
  const entries = await readdir(fragment.dir, { withFileTypes: true }).catch((cause: unknown) => {
    const message = `FBC fragment catalog directory not found at ${fragment.path} after extracting ${fragment.image}`;
    throw new Failure('catalog_invalid', message, { cause });
  });
  if (entries.length === 0) {
    throw new Failure('catalog_invalid', `No operator packages in fbc_fragment ${fragment.image}`);
  }
  for (const entry of entries) {
    if (!entry.isDirectory()) {
      const message = `The fbc_fragment ${fragment.image} has ${entry.name} beside its packages; only folders belong there`;
      throw new Failure('catalog_invalid', message);
    }
    assertPackageName(entry.name);
  }
  return entries.map((entry) => entry.name).sort();
}

/**
 * Puts a fragment's package into the catalog, in place of the folder there; YAML becomes JSON. Deprecations of the
 * package are left as they are.
 *
 * @param from folder of the package in the unpacked fragment
 * @throws Failure `package_name_unsafe`; `catalog_invalid` also when it defines a package that has another folder
 */
export async function replacePackage(tree: CatalogTree, name: string, from: string): Promise<void> {
  assertPackageName(name);
  await tree.include([name]);
  const dir = packageDir(tree, name);
  if (await isFolder(dir, name)) await rm(dir, { recursive: true });
  await copyFolder(from, dir, name);
  await enforceJson(dir, name);
  const others = (await tree.packages()).filter((other) => other !== name);
  for (const model of await readPackageModels(dir)) {
    if (others.includes(model.name)) {
      throw new Failure('catalog_invalid', `duplicate package "${model.name}": also defined in the folder ${name}`);
    }
  }
}
