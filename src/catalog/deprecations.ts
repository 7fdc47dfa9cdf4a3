import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { catalogDocuments, catalogFileNames, FbcDeprecations, readCatalogText } from './fbc.ts';
import { isFolder, writeWhole } from './folders.ts';
import { jsonText } from './json-rules.ts';
import type { PackageModel } from './model.ts';
import { assertPackageName, DEPRECATIONS } from './names.ts';
import { type CatalogTree, deprecationsDir, packageDir } from './tree.ts';

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
    blob = JSON.parse(schema);
  } catch (cause) {
    throw new Failure('catalog_invalid', 'The deprecation schema is not valid JSON', { cause });
  }
  await tree.include([name]);
  const dir = deprecationsDir(tree, name);
  const shown = `${DEPRECATIONS}/${name}`;
  await isFolder(join(tree.configsDir, DEPRECATIONS), DEPRECATIONS);
  if (await isFolder(dir, shown)) {
    // opm allows one per package, so what an earlier request called otherwise must go.
    for (const file of await catalogFileNames(dir)) await rm(join(dir, file));
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
 * §10.8). A file with nothing left is deleted; others keep their bytes.
 *
 * @throws Failure `catalog_invalid`
 */
export async function pruneDeprecations(tree: CatalogTree, model: PackageModel): Promise<void> {
  for (const dir of [packageDir(tree, model.name), deprecationsDir(tree, model.name)]) {
    for (const file of await catalogFileNames(dir)) {
      // opm's own file never holds deprecations, and is the large one.
      if (dir === packageDir(tree, model.name) && file === 'catalog.json') continue;
      await pruneFile(join(dir, file), file, model);
    }
  }
}

async function pruneFile(path: string, file: string, model: PackageModel): Promise<void> {
  const text = await readCatalogText(path, file);
  if (!text.includes('olm.deprecations')) return;
  const documents = catalogDocuments(text, file);
  const left = documents.flatMap((document) => {
    const parsed = FbcDeprecations.safeParse(document);
    if (!parsed.success || parsed.data.package !== model.name) return [document];
    const entries = parsed.data.entries ?? [];
    const kept = entries.filter(({ reference }) => refersToExisting(reference, model));
    if (kept.length === entries.length) return [document];
    return kept.length === 0 ? [] : [{ ...parsed.data, entries: kept }];
  });
  if (left.length === 0) await rm(path);
  else if (left.some((document, index) => document !== documents[index]) || left.length !== documents.length) {
    await writeWhole(path.replace(/\.ya?ml$/i, '.json'), jsonText(left));
    if (!/\.json$/i.test(path)) await rm(path);
  }
}

function refersToExisting(reference: { schema: string; name?: string | undefined }, model: PackageModel): boolean {
  if (reference.schema === 'olm.bundle') return model.bundles.has(reference.name ?? '');
  if (reference.schema === 'olm.channel') return model.channels.has(reference.name ?? '');
  return true;
}
