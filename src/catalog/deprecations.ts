import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { isDeprecations } from './fbc.ts';
import { filesBelow, isFolder, writeWhole } from './folders.ts';
import { jsonText } from './json-rules.ts';
import type { PackageModel } from './model.ts';
import { assertPackageName, DEPRECATIONS } from './names.ts';
import { type CatalogTree, deprecationsDir, foldersOf } from './tree.ts';

/**
 * Writes a package's deprecations, in place of earlier ones: `_operator-deprecations-content/{package}/{package}.json`
 * (request-handling.md §10.8).
 *
 * @param schema JSON text of the `olm.deprecations` blob
 * @throws Failure `package_name_unsafe`, `catalog_invalid` when the text is no JSON
 */
export async function writeDeprecations(tree: CatalogTree, name: string, schema: string): Promise<void> {
  assertPackageName(name);
  let blob: unknown;
  try {
    blob = JSON.parse(schema, (_, value: unknown) => {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new SyntaxError('a number is too large');
      return value;
    });
  } catch (cause) {
    throw new Failure('catalog_invalid', 'The deprecation schema is not valid JSON', { cause });
  }
  await tree.include([name]);
  const dir = deprecationsDir(tree, name);
  const shown = `${DEPRECATIONS}/${name}`;
  await isFolder(join(tree.configsDir, DEPRECATIONS), DEPRECATIONS);
  if (await isFolder(dir, shown)) {
    // opm allows one per package, so what an earlier request called otherwise must go.
    for (const file of await filesBelow(dir)) await rm(join(dir, file));
  }
  await writeWhole(join(dir, `${name}.json`), jsonText([blob]));
}

/**
 * Removes a package's own folder of deprecations. Absent is fine.
 *
 * @throws Failure `package_name_unsafe`, `catalog_invalid`
 */
export async function removeDeprecations(tree: CatalogTree, name: string): Promise<void> {
  assertPackageName(name);
  await tree.include([name]);
  await isFolder(join(tree.configsDir, DEPRECATIONS), DEPRECATIONS);
  await rm(deprecationsDir(tree, name), { recursive: true, force: true });
}

/**
 * Takes out deprecations of bundles and channels that the package no longer has: opm refuses them (request-handling.md
 * §10.8). A file with nothing left is deleted; all other documents keep their bytes.
 *
 * @throws Failure `catalog_invalid`
 */
export async function pruneDeprecations(tree: CatalogTree, model: PackageModel): Promise<void> {
  const { own, deprecations } = foldersOf(tree, model.name);
  const by = {
    keep: 'deprecations' as const,
    package: model.name,
    bundles: new Set(model.bundles.keys()),
    channels: new Set(model.channels.keys()),
  };
  // opm's own file never holds deprecations, and is the large one.
  for (const [folder, except] of [[own, ['catalog.json']] as const, [deprecations, []] as const]) {
    for (const { file, blobs } of await tree.reader.read(folder, { except })) {
      if (blobs.some((blob) => isDeprecations(blob) && blob.package === model.name)) {
        await tree.reader.filter(folder, file, by);
      }
    }
  }
}
