import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { type MappingNode, type PairNode, resolved, type ScalarNode, type YamlNode } from './yaml/nodes.ts';
import { looksLikeJson, readYaml, type YamlDocument, YamlRefused } from './yaml.ts';
import { type Found, nodeAt, type Path, valueAt } from './yaml-path.ts';

/**
 * A YAML text that is changed by cutting out the old and putting in the new, so that all else keeps its bytes: comments,
 * order, quotes, folds, line ends. Printing the nodes again would not: of 489 real CSVs the yaml package gives 63 back as
 * they were. So only a file that cannot be changed in this way is printed anew.
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
  return { text, documents: readYaml(text, { escapes: looksLikeJson(text) ? 'json' : 'yaml' }) };
}

/**
 * The text with parts of its strings replaced. Where the same string is reached by several paths, as through aliases,
 * one change is enough.
 *
 * @throws Error when the result would not mean exactly what was asked for
 */
export function spliceYaml(yaml: YamlText, splices: readonly Splice[]): YamlText {
  const byNode = new Map<YamlNode, Splice[]>();
  for (const splice of splices) {
    const node = nodeAt(documentOf(yaml, splice).root, splice.path)?.node;
    if (!node) throw new Error(`there is nothing at ${splice.path.join('.')}`);
    const known = byNode.get(node) ?? [];
    if (!known.some(({ from, to, text }) => from === splice.from && to === splice.to && text === splice.text)) {
      byNode.set(node, [...known, splice]);
    }
  }
  const expected = expectation(yaml);
  for (const [key, wanted] of Map.groupBy(splices, ({ document, path }) => JSON.stringify([document, path]))) {
    const [document, path] = JSON.parse(key) as [number, Path];
    expected.set(document, path, spliced(String(valueAt(documentOf(yaml, { document }).value, path)), wanted));
  }
  return expected.reached(() => [...byNode].flatMap(([node, wanted]) => patchesOf(yaml, node, wanted)));
}

/**
 * The text with a value at a path: of an existing key in its quotes, of a new one at the end of its mapping, together
 * with the mappings that lead to it.
 *
 * @throws Error when the result would not mean exactly what was asked for
 */
export function setYaml(yaml: YamlText, at: { document: number; path: Path; value: NewValue }): YamlText {
  const { root } = documentOf(yaml, at);
  const expected = expectation(yaml);
  expected.set(at.document, at.path, at.value);
  return expected.reached(() => [settingPatch(yaml.text, root, at)]);
}

function settingPatch(text: string, root: YamlNode, { path, value }: { path: Path; value: NewValue }): Patch {
  const present = nodeAt(root, path);
  if (present) return replacement(text, present, value);
  const mapAt = (depth: number) => {
    const node = nodeAt(root, path.slice(0, depth))?.node;
    const target = node && resolved(node);
    return target?.kind === 'mapping' ? target : undefined;
  };
  let depth = path.length - 1;
  while (depth > 0 && mapAt(depth) === undefined) depth -= 1;
  const [key = '', ...inner] = path.slice(depth).map(String);
  const wrapped = inner.reduceRight<unknown>((content, name) => ({ [name]: content }), value) as NewValue;
  const blank = nodeAt(root, path.slice(0, depth + 1));
  if (blank) return replacement(text, blank, wrapped);
  const map = mapAt(depth);
  if (map === undefined) throw new NotInPlace('the document is not a mapping');
  return insertion(text, map, key, wrapped);
}

function documentOf({ documents }: YamlText, { document }: { document: number }): YamlDocument {
  const found = documents[document];
  if (found === undefined) throw new Error(`there is no document ${document}`);
  return found;
}

/** Why a change cannot be made by cutting out and putting in. */
class NotInPlace extends Error {}

/** What the edited text has to mean. */
function expectation({ text, documents }: YamlText) {
  // Keeps what aliases share shared.
  const values = documents.map(({ value }) => structuredClone<unknown>(value));
  const means = (edited: YamlText) =>
    isDeepStrictEqual(
      edited.documents.map(({ value }) => value),
      values,
    );
  return {
    set(document: number, path: Path, value: unknown): void {
      let at = values[document] as object;
      for (const key of path.slice(0, -1)) {
        const inner = valueAt(at, [key]);
        at = typeof inner === 'object' && inner !== null ? inner : put(at, key, {});
      }
      put(at, path.at(-1) ?? '', value);
    },
    /** The edited text: with the patches when it means what is wanted then, else printed anew. */
    reached(patches: () => Patch[]): YamlText {
      try {
        const edited = openYaml(patched(text, patches()));
        if (means(edited)) return edited;
      } catch (thrown) {
        if (!(thrown instanceof NotInPlace || thrown instanceof YamlRefused)) throw thrown;
      }
      for (const print of [(value: unknown) => stringify(value, STYLE), (value: unknown) => `${quoted(value)}\n`]) {
        const anew = openYaml(values.map(print).join('---\n'));
        if (means(anew)) return anew;
      }
      throw new Error('the YAML would mean something else');
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
    if (patch.from < done) throw new NotInPlace('two changes overlap');
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

function patchesOf({ text }: YamlText, node: YamlNode, splices: readonly Splice[]): Patch[] {
  const { from, to } = node;
  if (node.kind !== 'scalar') {
    // An alias of a string: the others of its anchor stay what they are.
    const target = resolved(node);
    if (node.kind !== 'alias' || target.kind !== 'scalar') throw new Error('only strings have parts');
    return [{ from, to, text: quoted(spliced(target.value, splices)) }];
  }
  const { value } = node;
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

/** Where a part begins in a text; nowhere when it is empty. */
function occurrences(text: string, part: string): number[] {
  const found: number[] = [];
  if (part === '') return found;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + 1)) found.push(at);
  return found;
}

/** A string in the style the scalar had, as far as that style can hold it on one line. */
function styled(value: string, { style }: ScalarNode, raw: string): string {
  if (style === 'single' && /^[^\p{Cc}]*$/u.test(value)) return `'${value.replaceAll("'", "''")}'`;
  if (style === 'plain' && EVERYWHERE.test(value) && readYaml(value)[0]?.value === value) return value;
  return quoted(value) + lastLineEnd(raw);
}

/** As JSON, which YAML reads alike once the characters it refuses are escaped. */
function quoted(value: unknown): string {
  const printed = JSON.stringify(value, (_, inner) =>
    typeof inner === 'bigint' ? JSON.rawJSON(String(inner)) : inner,
  );
  return printed.replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function replacement(text: string, { node, within }: Found, value: NewValue): Patch {
  if (typeof value === 'string' && node.kind === 'scalar' && node.from < node.to) {
    const { from, to } = node;
    return { from, to, text: styled(value, node, text.slice(from, to)) };
  }
  const from = within?.pair.valueFrom ?? null;
  if (within === null || from === null) throw new NotInPlace('it is no value after a colon');
  const { map, pair } = within;
  // An absent value has no place of its own; everything from the colon on is taken.
  const to = endOfValue(pair);
  if (map.flow) return { from, to, text: ` ${quoted(value)}` };
  return { from, to, text: block(text, value, pair.key.column) + lastLineEnd(text.slice(from, to)) };
}

function insertion(text: string, map: MappingNode, key: string, value: NewValue): Patch {
  const [first, last] = [map.pairs[0], map.pairs.at(-1)];
  if (map.flow || first === undefined || last === undefined) {
    const before = text.slice(0, map.to - 1).trimEnd();
    const comma = /[{,]$/.test(before) ? '' : ', ';
    return { from: before.length, to: before.length, text: `${comma}${quoted(key)}: ${quoted(value)}` };
  }
  const column = first.key.column;
  const end = endOfValue(last);
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

/** Where the value of a pair ends, whatever follows it (comments, blank lines). To a block scalar the end of its line belongs. */
function endOfValue({ value, valueFrom }: PairNode): number {
  return Math.max(value.to, valueFrom ?? value.from);
}

/** The end of its line that a block scalar takes along, and all that ends with one. */
function lastLineEnd(raw: string): string {
  return /\r?\n$/.exec(raw)?.[0] ?? '';
}

function lineEndOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n';
}
