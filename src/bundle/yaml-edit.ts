import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isScalar, isSeq, type ParsedNode, Scalar, stringify, type YAMLMap } from 'yaml';
import { readYaml, type YamlDocument } from './yaml.ts';
import { type Found, nodeAt, type ParsedPair, type Path, resolved, valueAt } from './yaml-path.ts';

/**
 * A YAML text that is changed by cutting out the old and putting in the new, so that all else keeps its bytes: comments,
 * order, quotes, folds, line ends. Printing the nodes again would not: of 489 real CSVs the yaml package gives 63 back as
 * they were.
 */
export interface YamlText {
  readonly text: string;
  readonly documents: readonly YamlDocument[];
}

/** A part of a string value and what comes in its place. */
export interface Splice {
  /** Index of the document. */
  document: number;
  path: Path;
  from: number;
  to: number;
  text: string;
}

/** What can be put where nothing like it was. */
export type NewValue = string | readonly Record<string, string>[] | Readonly<Record<string, string>>;

/** A part of the text and what comes in its place. */
interface Patch {
  from: number;
  to: number;
  text: string;
}

/** Reads a text for editing. @throws YamlRefused */
export function openYaml(text: string): YamlText {
  return { text, documents: readYaml(text) };
}

/**
 * The text with parts of its strings replaced. Where the same string is reached by several paths, as through aliases,
 * one change is enough.
 *
 * @throws Error when the result would not mean exactly what was asked for
 */
export function spliceYaml(yaml: YamlText, splices: readonly Splice[]): YamlText {
  const byNode = new Map<ParsedNode, Splice[]>();
  for (const splice of splices) {
    const node = nodeAt(documentOf(yaml, splice).document, splice.path)?.node;
    if (!node) throw new Error(`there is nothing at ${splice.path.join('.')}`);
    const known = byNode.get(node) ?? [];
    if (!known.some(({ from, to, text }) => from === splice.from && to === splice.to && text === splice.text)) {
      byNode.set(node, [...known, splice]);
    }
  }
  const patches = [...byNode].flatMap(([node, wanted]) => patchesOf(yaml, node, wanted));
  const expected = expectation(yaml);
  for (const [key, wanted] of Map.groupBy(splices, ({ document, path }) => JSON.stringify([document, path]))) {
    const [document, path] = JSON.parse(key) as [number, Path];
    expected.set(document, path, spliced(String(valueAt(documentOf(yaml, { document }).value, path)), wanted));
  }
  return expected.check(patched(yaml.text, patches));
}

/**
 * The text with a value at a path: of an existing key in its quotes, of a new one at the end of its mapping, together
 * with the mappings that lead to it.
 *
 * @throws Error when the result would not mean exactly what was asked for
 */
export function setYaml(yaml: YamlText, at: { document: number; path: Path; value: NewValue }): YamlText {
  const { document } = documentOf(yaml, at);
  const expected = expectation(yaml);
  expected.set(at.document, at.path, at.value);
  const present = nodeAt(document, at.path);
  if (present) return expected.check(patched(yaml.text, [replacement(yaml.text, present, at.value)]));

  let depth = at.path.length - 1;
  while (depth > 0 && !isMap(resolved(document, nodeAt(document, at.path.slice(0, depth))?.node ?? null))) depth -= 1;
  const [key = '', ...inner] = at.path.slice(depth).map(String);
  const value = inner.reduceRight<unknown>((content, name) => ({ [name]: content }), at.value) as NewValue;
  const blank = nodeAt(document, at.path.slice(0, depth + 1));
  if (blank) return expected.check(patched(yaml.text, [replacement(yaml.text, blank, value)]));
  const map = resolved(document, nodeAt(document, at.path.slice(0, depth))?.node ?? null);
  if (!isMap(map)) throw new Error('the document is not a mapping');
  return expected.check(patched(yaml.text, [insertion(yaml.text, map as YAMLMap, key, value)]));
}

function documentOf({ documents }: YamlText, { document }: { document: number }): YamlDocument {
  const found = documents[document];
  if (found === undefined) throw new Error(`there is no document ${document}`);
  return found;
}

/** What the edited text has to mean. */
function expectation({ documents }: YamlText) {
  // Keeps what aliases share shared.
  const values = documents.map(({ value }) => structuredClone(value));
  return {
    set(document: number, path: Path, value: unknown): void {
      let at = values[document] as object;
      for (const key of path.slice(0, -1)) {
        const inner = valueAt(at, [key]);
        at = typeof inner === 'object' && inner !== null ? inner : put(at, key, {});
      }
      put(at, path.at(-1) ?? '', value);
    },
    check(text: string): YamlText {
      let edited: YamlText;
      try {
        edited = openYaml(text);
      } catch (cause) {
        throw new Error('the YAML cannot be edited in place: it could not be read any more', { cause });
      }
      const means = edited.documents.map(({ value }) => value);
      if (isDeepStrictEqual(means, values)) return edited;
      throw new Error('the YAML cannot be edited in place: it would mean something else');
    },
  };
}

/** Assigning would not do: one key of mappings is `__proto__`. */
function put<T>(object: object, key: string | number, value: T): T {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return value;
}

function patched(text: string, patches: readonly Patch[]): string {
  let done = 0;
  let result = '';
  for (const patch of patches.toSorted((a, b) => a.from - b.from)) {
    if (patch.from < done) throw new Error('two changes of the YAML overlap');
    result += text.slice(done, patch.from) + patch.text;
    done = patch.to;
  }
  return result + text.slice(done);
}

function spliced(value: string, splices: readonly Omit<Splice, 'document' | 'path'>[]): string {
  return patched(value, splices);
}

/** Characters that mean themselves in every style, and none of them can be told from the others by it. */
const EVERYWHERE = /^[A-Za-z0-9](?:[A-Za-z0-9._/@:-]*[A-Za-z0-9])?$/;

function patchesOf({ text }: YamlText, node: ParsedNode, splices: readonly Splice[]): Patch[] {
  const [from, to] = node.range;
  if (!isScalar(node)) {
    // An alias of a string: the others of its anchor stay what they are.
    const [splice] = splices;
    if (!isAlias(node) || splice === undefined) throw new Error('only strings have parts');
    return [{ from, to, text: quoted(splice.text) }];
  }
  const value = String(node.value);
  const raw = text.slice(from, to);
  const inPlace: Patch[] = [];
  for (const splice of splices) {
    const old = value.slice(splice.from, splice.to);
    const [inValue, inRaw] = [occurrences(value, old), occurrences(raw, old)];
    const place = inRaw[inValue.indexOf(splice.from)];
    if (!EVERYWHERE.test(splice.text) || inValue.length !== inRaw.length || place === undefined) {
      return [{ from, to, text: styled(spliced(value, splices), node, raw) }];
    }
    inPlace.push({ from: from + place, to: from + place + old.length, text: splice.text });
  }
  return inPlace;
}

function occurrences(text: string, part: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + 1)) found.push(at);
  return found;
}

/** A string in the style the scalar had, as far as that style can hold it on one line. */
function styled(value: string, { type }: Scalar, raw: string): string {
  if (type === Scalar.QUOTE_SINGLE && /^[^\p{Cc}]*$/u.test(value)) return `'${value.replaceAll("'", "''")}'`;
  if (type === Scalar.PLAIN && EVERYWHERE.test(value) && readYaml(value)[0]?.value === value) return value;
  return quoted(value) + lastLineEnd(raw);
}

function quoted(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function replacement(text: string, { node, within }: Found, value: NewValue): Patch {
  if (typeof value === 'string' && isScalar(node) && node.range[0] < node.range[1]) {
    const [from, to] = node.range;
    return { from, to, text: styled(value, node, text.slice(from, to)) };
  }
  if (within === null) throw new Error('only values of mappings can be replaced');
  const { map, pair } = within;
  // An absent value has no place of its own; everything from the colon on is taken.
  const from = text.indexOf(':', pair.key.range[1]) + 1;
  const to = node === null || node.range[0] >= node.range[1] ? from : node.range[1];
  if (map.flow) return { from, to, text: ` ${JSON.stringify(value)}` };
  return { from, to, text: block(text, value, columnOf(text, pair)) + lastLineEnd(text.slice(from, to)) };
}

function insertion(text: string, map: YAMLMap, key: string, value: NewValue): Patch {
  const pairs = map.items as ParsedPair[];
  const [first, last] = [pairs[0], pairs.at(-1)];
  if (map.flow || first === undefined || last === undefined) {
    const close = (map.range?.[1] ?? 0) - 1;
    const before = text.slice(0, close).trimEnd();
    const comma = /[{,]$/.test(before) ? '' : ', ';
    return { from: before.length, to: before.length, text: `${comma}${JSON.stringify(key)}: ${JSON.stringify(value)}` };
  }
  const column = columnOf(text, first);
  const end = endOf(text, last);
  const lineEnd = lineEndOf(text);
  const newline = text.indexOf('\n', end);
  const pair = `${' '.repeat(column)}${printed(key)}:${block(text, value, column)}`;
  if (text[end - 1] === '\n') return { from: end, to: end, text: pair + lineEnd };
  if (newline < 0) return { from: text.length, to: text.length, text: lineEnd + pair };
  return { from: newline + 1, to: newline + 1, text: pair + lineEnd };
}

const STYLE = {
  version: '1.1',
  lineWidth: 0,
  indentSeq: false,
  blockQuote: false,
  doubleQuotedAsJSON: true,
} as const;

/** Without the end of its line, and with all other white space at its end. */
function printed(value: unknown): string {
  return stringify(value, STYLE).replace(/\n$/, '');
}

/** What follows the colon of a key that stands in `column`. */
function block(text: string, value: NewValue, column: number): string {
  const [head = '', ...lines] = printed({ '': value }).split('\n');
  return [head.slice(head.indexOf(':') + 1), ...lines.map((line) => ' '.repeat(column) + line)].join(lineEndOf(text));
}

/** Where the last value of a pair ends, whatever follows it (comments, blank lines). */
function endOf(text: string, { key, value }: ParsedPair): number {
  if (value === null || value.range[0] >= value.range[1]) return text.indexOf(':', key.range[1]) + 1;
  if (isMap(value) && !value.flow) return endOf(text, value.items.at(-1) as ParsedPair);
  if (isSeq(value) && !value.flow) {
    const last = value.items.at(-1) as ParsedNode | undefined;
    if (isMap(last) && !last.flow) return endOf(text, last.items.at(-1) as ParsedPair);
    if (isSeq(last) || last === undefined) return value.range[1];
    return last.range[0] < last.range[1] ? last.range[1] : value.range[1];
  }
  return value.range[1];
}

function lineStart(text: string, at: number): number {
  const start = text.lastIndexOf('\n', at - 1) + 1;
  return text[start] === '\ufeff' ? start + 1 : start;
}

function columnOf(text: string, { key }: ParsedPair): number {
  return key.range[0] - lineStart(text, key.range[0]);
}

/** The end of its line that a block scalar takes along, and all that ends with one. */
function lastLineEnd(raw: string): string {
  return /\r?\n$/.exec(raw)?.[0] ?? '';
}

function lineEndOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n';
}
