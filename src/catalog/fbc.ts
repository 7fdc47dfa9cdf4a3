import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { parseYaml, YamlRefused } from '../bundle/yaml.ts';
import { Failure } from '../errors/failure.ts';

/** `olm.package` (opm-and-index-db.md §4.1). */
export const FbcPackage = z.looseObject({
  schema: z.literal('olm.package'),
  name: z.string(),
  defaultChannel: z.string().default(''),
});
export type FbcPackage = z.infer<typeof FbcPackage>;

export const FbcEntry = z.looseObject({
  name: z.string(),
  replaces: z.string().optional(),
  skips: z.array(z.string()).nullish(),
  skipRange: z.string().optional(),
});
export type FbcEntry = z.infer<typeof FbcEntry>;

export const FbcChannel = z.looseObject({
  schema: z.literal('olm.channel'),
  package: z.string(),
  name: z.string(),
  entries: z.array(FbcEntry).nullish(),
});
export type FbcChannel = z.infer<typeof FbcChannel>;

export const FbcBundle = z.looseObject({
  schema: z.literal('olm.bundle'),
  package: z.string(),
  name: z.string(),
  image: z.string().default(''),
  properties: z.array(z.looseObject({ type: z.string(), value: z.unknown() })).nullish(),
});
export type FbcBundle = z.infer<typeof FbcBundle>;

export const FbcDeprecations = z.looseObject({
  schema: z.literal('olm.deprecations'),
  package: z.string(),
  entries: z
    .array(
      z.looseObject({
        reference: z.looseObject({ schema: z.string(), name: z.string().optional() }),
        message: z.string().default(''),
      }),
    )
    .nullish(),
});
export type FbcDeprecations = z.infer<typeof FbcDeprecations>;

/** A document of a schema that is not ours to understand; it is only passed on. */
export interface FbcOther {
  schema: string;
  package?: string | undefined;
  name?: string | undefined;
}

export type FbcBlob = FbcPackage | FbcChannel | FbcBundle | FbcDeprecations | FbcOther;

const Known = z.discriminatedUnion('schema', [FbcPackage, FbcChannel, FbcBundle, FbcDeprecations]);
const Other = z.looseObject({
  schema: z.string().min(1),
  package: z.string().optional(),
  name: z.string().optional(),
});
const KNOWN = new Set(['olm.package', 'olm.channel', 'olm.bundle', 'olm.deprecations']);

/** Bytes of one catalog file. */
const LARGEST = 256 * 1024 * 1024;

/**
 * Cuts concatenated JSON documents apart without parsing them, one at a time. Strings are jumped over whole: most of a
 * catalog is base64.
 *
 * @throws SyntaxError when a document does not end or there is something between documents
 */
export function* jsonDocuments(text: string): Generator<string> {
  let start = -1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
    } else if (character === '{' || character === '[') {
      if (depth++ === 0) start = at;
      continue;
    } else if (character === '}' || character === ']') {
      if (--depth === 0) yield text.slice(start, at + 1);
      if (depth >= 0) continue;
    }
    if (depth <= 0 && !/\s/.test(character ?? '')) throw new SyntaxError(`unexpected ${character} at ${at}`);
  }
  if (depth > 0) throw new SyntaxError('the last document does not end');
}

function endOfString(text: string, opening: number): number {
  for (let at = text.indexOf('"', opening + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  throw new SyntaxError('a string does not end');
}

/**
 * The documents of a catalog file. Like opm, it goes by the content and not by the name: YAML may hold JSON.
 *
 * @param file name for texts, without local path
 * @throws Failure `catalog_invalid`
 */
export function catalogDocuments(text: string, file: string): unknown[] {
  try {
    return (/^\s*\{/.test(text) ? concatenated(text, file) : undefined) ?? parseYaml(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof YamlRefused)) throw cause;
    throw new Failure('catalog_invalid', `The catalog file ${file} is not valid: ${cause.message}`, { cause });
  }
}

/** JSON documents; undefined when it may yet be a mapping of YAML in braces. */
function concatenated(text: string, file: string): unknown[] | undefined {
  try {
    return [...jsonDocuments(text)].map((document) => JSON.parse(document));
  } catch (thrown) {
    if (thrown instanceof SyntaxError && !/\.json$/i.test(file)) return undefined;
    throw thrown;
  }
}

/**
 * The blobs of a catalog file. Documents without a schema are refused.
 *
 * @param file name for texts, without local path
 * @throws Failure `catalog_invalid`
 */
export function parseCatalog(text: string, file: string): FbcBlob[] {
  return catalogDocuments(text, file).map((document, index) => {
    const other = Other.safeParse(document);
    const parsed = other.success && KNOWN.has(other.data.schema) ? Known.safeParse(document) : other;
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues[0];
    throw new Failure(
      'catalog_invalid',
      `The catalog file ${file} is not valid: document ${index + 1}, ${where?.path.join('.') || 'schema'}: ${where?.message}`,
      { cause: parsed.error },
    );
  });
}

/** A file of a package's folder with what is in it. */
export interface CatalogFile {
  /** Path relative to the folder. */
  file: string;
  blobs: FbcBlob[];
}

/**
 * Every JSON and YAML file below a folder, read one after the other in the order of their names. Links are not
 * followed; a folder that is not there has no files.
 *
 * @throws Failure `catalog_invalid`
 */
export async function readCatalogFiles(dir: string): Promise<CatalogFile[]> {
  const files: CatalogFile[] = [];
  for (const file of await catalogFileNames(dir)) {
    files.push({ file, blobs: parseCatalog(await readCatalogText(join(dir, file), file), file) });
  }
  return files;
}

/** Names of the JSON and YAML files below a folder, relative to it, sorted. */
export async function catalogFileNames(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  });
  return entries
    .filter((entry) => entry.isFile() && /\.(json|ya?ml)$/i.test(entry.name))
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .sort();
}

/** The text of a catalog file within the size limit. @throws Failure `catalog_invalid` */
export async function readCatalogText(path: string, file: string): Promise<string> {
  if ((await stat(path)).size > LARGEST) {
    throw new Failure('catalog_invalid', `The catalog file ${file} is larger than ${LARGEST} bytes`);
  }
  return readFile(path, 'utf8');
}

export const isPackage = (blob: FbcBlob): blob is FbcPackage => blob.schema === 'olm.package';
export const isChannel = (blob: FbcBlob): blob is FbcChannel => blob.schema === 'olm.channel';
export const isBundle = (blob: FbcBlob): blob is FbcBundle => blob.schema === 'olm.bundle';
export const isDeprecations = (blob: FbcBlob): blob is FbcDeprecations => blob.schema === 'olm.deprecations';
