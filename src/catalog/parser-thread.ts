import { isUtf8 } from 'node:buffer';
import { readFileSync, writeFileSync } from 'node:fs';
import { deprecationEntries, essentialsOf, type JsonDocument, jsonCatalog } from './documents.ts';
import { fieldsOf, spellingsOf } from './go-fields.ts';
import { knownSchemaOf, type Mask, masked, maskFor, unmasked } from './masks.ts';

/**
 * The work on whole catalog files, run in a thread of its own (`parser.ts`): parsing megabytes of JSON would hold up
 * everything else in the process. A file that is not JSON alone is none of its business: opm reads it.
 */

export interface JsonFile {
  path: string;
}

/** What a file is: JSON with these essentials, or something that opm has to read first. */
export type Read = { json: unknown[] } | { other: 'text' | 'not UTF-8' };

export function read({ path }: JsonFile): Read {
  const bytes = readFileSync(path);
  if (!isUtf8(bytes)) return { other: 'not UTF-8' };
  const documents = attempt(() => [...mapped(jsonCatalog(bytes.toString()), essentialsOf)]);
  return documents === undefined ? { other: 'text' } : { json: documents };
}

/** Writes a copy of a text with opm's schemas under other names. */
export function mask({ path, to }: { path: string; to: string }): Mask {
  const text = readFileSync(path, 'utf8');
  const names = maskFor(text);
  writeFileSync(to, masked(text, names), { flag: 'wx' });
  return names;
}

/**
 * Writes what opm has made of a masked text, under opm's own schemas and in the order in which opm writes a catalog.
 *
 * @returns the number of documents, and how many of them were not masked, because their schema was written in another
 *   way than plainly: these have lost the fields that opm does not know
 */
export function unmask({ path, to, names }: { path: string; to: string; names: Mask }) {
  const order = ['olm.package', 'olm.channel', 'olm.bundle', undefined, 'olm.deprecations'];
  const documents = [...jsonCatalog(readFileSync(path, 'utf8'))].map(({ text, schema }) => ({
    text: `${unmasked(text, names)}\n`,
    schema: knownSchemaOf(schema, names),
  }));
  const escaped = documents.filter(({ schema }) => schema === 'escaped').length;
  const sorted = documents
    .map((document) => ({ ...document, rank: order.indexOf(document.schema) }))
    .sort((a, b) => a.rank - b.rank);
  writeFileSync(to, sorted.map(({ text }) => text).join(''), { flag: 'wx' });
  return { documents: documents.length, escaped };
}

/** What is to stay of a JSON file. */
export type Filter =
  /** All that no database knows of. */
  | { keep: 'not from a database' }
  /** Deprecations of what a package still has. */
  | { keep: 'deprecations'; package: string; bundles: ReadonlySet<string>; channels: ReadonlySet<string> };

/**
 * Writes what a filter leaves of a JSON file; documents that stay whole keep their bytes. Nothing is written when all
 * of it stays, or nothing.
 */
export function filter({ path, to, by }: { path: string; to: string; by: Filter }): 'all' | 'some' | 'none' {
  const documents = [...jsonCatalog(readFileSync(path, 'utf8'))];
  const left = documents.flatMap((document) => {
    const text = by.keep === 'deprecations' ? prunedText(document, by) : textUnlessFromDatabase(document);
    return text === undefined ? [] : [text];
  });
  if (left.length === documents.length && left.every((text, at) => text === documents[at]?.text)) return 'all';
  if (left.length === 0) return 'none';
  writeFileSync(to, left.map((text) => `${text}\n`).join(''), { flag: 'wx' });
  return 'some';
}

function textUnlessFromDatabase({ text, schema }: JsonDocument): string | undefined {
  return ['olm.package', 'olm.channel', 'olm.bundle'].includes(schema) ? undefined : text;
}

function prunedText({ text, value, schema }: JsonDocument, by: Filter & { keep: 'deprecations' }): string | undefined {
  const fields = fieldsOf(value, ['package', 'entries'] as const);
  if (schema !== 'olm.deprecations' || fields?.package !== by.package || !Array.isArray(fields.entries)) return text;
  const { entries } = fields;
  const references = deprecationEntries(entries) as { reference?: { schema?: unknown; name?: unknown } }[];
  const kept = entries.filter((_, at) => {
    const { schema: of, name = '' } = references[at]?.reference ?? {};
    if (of === 'olm.bundle') return by.bundles.has(name as string);
    return of === 'olm.channel' ? by.channels.has(name as string) : true;
  });
  if (kept.length === entries.length) return text;
  if (kept.length === 0) return undefined;
  const key = spellingsOf(value, 'entries').at(-1)?.[0] ?? 'entries';
  return JSON.stringify({ ...value, [key]: kept }, null, 4);
}

function* mapped<From, To>(items: Iterable<From>, change: (item: From) => To): Generator<To> {
  for (const item of items) yield change(item);
}

function attempt<T>(doIt: () => T): T | undefined {
  try {
    return doIt();
  } catch (thrown) {
    // A RangeError is nesting that no stack holds; opm has a limit of its own.
    if (thrown instanceof SyntaxError || thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}
