import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { catalogDocuments, catalogFileNames, readCatalogText } from './fbc.ts';
import { writeWhole } from './folders.ts';

/** Documents as opm writes them: one after the other, four spaces, each with a newline. */
export function jsonText(documents: readonly unknown[]): string {
  return documents.map((document) => `${JSON.stringify(document, null, 4)}\n`).join('');
}

/**
 * Makes every YAML file below a folder a JSON file of the same stem. Where both forms exist the JSON is the newer one
 * and wins (request-handling.md §10.9).
 *
 * @param shown name of the folder for texts, without local path
 * @throws Failure `catalog_invalid` for empty or broken YAML files and for two of one stem
 */
export async function enforceJson(dir: string, shown: string): Promise<void> {
  const files = await catalogFileNames(dir);
  const present = new Set(files);
  const made = new Set<string>();
  for (const file of files.filter((name) => !/\.json$/i.test(name))) {
    const json = file.replace(/\.ya?ml$/i, '.json');
    if (made.has(json)) {
      throw new Failure('catalog_invalid', `Two YAML files would become the same JSON file: ${join(shown, json)}`);
    }
    if (!present.has(json)) {
      await writeWhole(join(dir, json), jsonText(await yamlDocuments(join(dir, file), join(shown, file))));
      made.add(json);
    }
    await rm(join(dir, file));
  }
}

async function yamlDocuments(path: string, shown: string): Promise<unknown[]> {
  const documents = catalogDocuments(await readCatalogText(path, shown), shown);
  if (documents.length === 0) throw new Failure('catalog_invalid', `Empty YAML file found: ${shown}`);
  return documents;
}
