import { fieldsOf } from './go-fields.ts';

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

/** A JSON document of a catalog, parsed, beside its own text. */
export interface JsonDocument {
  text: string;
  value: Record<string, unknown>;
  /** What opm goes by; never empty. */
  schema: string;
}

/**
 * The documents of a text that is JSON alone, one at a time.
 *
 * @throws SyntaxError when opm has to say what this is: no JSON, or a document that is no object or has no schema
 */
export function* jsonCatalog(text: string): Generator<JsonDocument> {
  if (text !== '' && !/^[ \t\r\n]*\{/.test(text)) throw new SyntaxError('not JSON');
  for (const document of jsonDocuments(text)) {
    const value: unknown = JSON.parse(document);
    const schema = fieldsOf(value, ['schema'] as const)?.schema;
    if (typeof schema !== 'string' || schema === '') throw new SyntaxError('a document has no schema');
    yield { text: document, value: value as Record<string, unknown>, schema };
  }
}

/**
 * What the update graph is computed from, without the manifests, icons and images that make a document large. Values
 * are as they were written; the schemas in `fbc.ts` check them.
 */
export function essentialsOf({ value, schema }: JsonDocument): unknown {
  const all = fieldsOf(value, ['package', 'name', 'defaultChannel', 'image', 'entries', 'properties'] as const);
  const { package: packageName, name, defaultChannel, image, entries, properties } = all ?? {};
  switch (schema) {
    case 'olm.package':
      return { schema, name, defaultChannel };
    case 'olm.channel':
      return { schema, package: packageName, name, entries: each(entries, ENTRY) };
    case 'olm.bundle':
      return { schema, package: packageName, name, image, properties: versionsAmong(each(properties, PROPERTY)) };
    case 'olm.deprecations':
      return { schema, package: packageName, entries: deprecationEntries(entries) };
    default:
      return { schema, package: packageName, name };
  }
}

const ENTRY = ['name', 'replaces', 'skips', 'skipRange'] as const;
const PROPERTY = ['type', 'value'] as const;

function versionsAmong(properties: unknown): unknown {
  if (!Array.isArray(properties)) return properties;
  return properties
    .filter((property) => property?.type === 'olm.package')
    .map(({ type, value }) => ({ type, value: fieldsOr(value, ['version'] as const) }));
}

/** Entries of an `olm.deprecations` document, their fields by opm's names. */
export function deprecationEntries(entries: unknown): unknown {
  const own = each(entries, ['reference', 'message'] as const);
  if (!Array.isArray(own)) return own;
  return own.map((entry) =>
    entry instanceof Object ? { ...entry, reference: fieldsOr(entry.reference, ['schema', 'name'] as const) } : entry,
  );
}

function each<Name extends string>(list: unknown, names: readonly Name[]): unknown {
  return Array.isArray(list) ? list.map((item) => fieldsOr(item, names)) : list;
}

/** What has no fields stays as it is, for a check to refuse. */
function fieldsOr<Name extends string>(value: unknown, names: readonly Name[]): unknown {
  return fieldsOf(value, names) ?? value;
}
