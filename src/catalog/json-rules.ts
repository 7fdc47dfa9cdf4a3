import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { type CatalogFolder, filesBelow } from './folders.ts';
import type { CatalogReader } from './reader.ts';

/** Documents as opm writes them: one after the other, four spaces, each with a newline. */
export function jsonText(documents: readonly unknown[]): string {
  return documents.map((document) => `${JSON.stringify(document, null, 4)}\n`).join('');
}

/**
 * Makes every YAML file of a folder a JSON file with the same documents (request-handling.md §10.9), under the same stem
 * unless there is a file of that name. A file that is named YAML and holds JSON keeps its bytes.
 *
 * @returns the former names of the files that were made, by their names
 * @throws Failure `catalog_invalid` for empty YAML files, and for what opm does not read; as `CatalogReader`
 */
export async function enforceJson(reader: CatalogReader, folder: CatalogFolder): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const file of (await reader.files(folder)).filter((name) => /\.ya?ml$/i.test(name))) {
    const path = join(folder.dir, file);
    const json = join(folder.dir, `.${randomUUID()}`);
    try {
      const { documents, whole } = await reader.writeJson(folder, file, json);
      if (documents === 0) {
        throw new Failure('catalog_invalid', `Empty YAML file found: ${join(folder.shown, file)}`);
      }
      // What cannot be written as JSON without a loss stays what it is; opm reads both.
      if (!whole) continue;
      const name = await freeName(folder.dir, file);
      await rename(json, join(folder.dir, name));
      await rm(path);
      names.set(name, file);
    } finally {
      await rm(json, { force: true });
    }
  }
  return names;
}

/** A name for the JSON of a file that no file has: its stem, or its stem with the first number that is free. */
export async function freeName(dir: string, file: string): Promise<string> {
  const taken = new Set(await filesBelow(dir));
  const stem = file.replace(/\.(ya?ml|json)$/i, '');
  let name = `${stem}.json`;
  for (let number = 2; taken.has(name); number++) name = `${stem}-${number}.json`;
  return name;
}
