import { isUtf8 } from 'node:buffer';
import { construct, type YamlValue } from './yaml/construct.ts';
import { refusedAt, YamlRefused } from './yaml/cursor.ts';
import type { YamlNode } from './yaml/nodes.ts';
import { parseDocuments } from './yaml/parser.ts';
import type { Escapes } from './yaml/scan-scalars.ts';

export { YamlRefused } from './yaml/cursor.ts';

/** UTF-16 code units; far above any real file, far below what would exhaust the process. */
const LONGEST = 64 * 1024 * 1024;
/** Of 489 real CSVs the largest has 21,237 values, the deepest 17 levels; half a million values take some 200 MB. */
const LIMITS = { depth: 1000, nodes: 500_000 };

export interface YamlOptions {
  /** Refused unless the reader has to bear with what opm accepts. */
  repeatedKeys?: 'refuse' | 'last wins';
  /** Those of JSON in a text that opm takes for JSON. */
  escapes?: Escapes;
}

/** A document of a YAML text, as nodes with their places in the text and as plain data. */
export interface YamlDocument {
  root: YamlNode;
  value: YamlValue;
}

/**
 * Reads the documents of a YAML text that anybody may have written, one by one: size, nesting and what aliases stand for
 * are bounded, no value becomes anything but JSON. Texts mean what they mean to opm (docs/bundles.md).
 *
 * @throws YamlRefused with place and reason; callers say which file in their own sentence
 */
export function* yamlDocuments(text: string, options: YamlOptions = {}): Generator<YamlDocument> {
  const { repeatedKeys = 'refuse', escapes = 'yaml' } = options;
  if (text.length > LONGEST) throw new YamlRefused(`longer than ${LONGEST} characters`);
  refuseControls(text);
  for (const root of parseDocuments(text, { ...LIMITS, escapes }))
    yield { root, value: construct(root, { repeatedKeys }) };
}

/** All of {@link yamlDocuments}. Throws as it does. */
export function readYaml(text: string, options: YamlOptions = {}): YamlDocument[] {
  return [...yamlDocuments(text, options)];
}

/** The same as plain data alone, empty documents left out. Throws as {@link readYaml}. */
export function parseYaml(text: string, options: YamlOptions = {}): unknown[] {
  return readYaml(text, options).flatMap(({ value }) => (value === null ? [] : [value]));
}

/** Whether opm takes a file for JSON: by its first character, if it is among the first 30. */
export function looksLikeJson(text: string): boolean {
  return /^\s{0,29}\{/.test(text);
}

/**
 * The text of a file.
 *
 * @throws YamlRefused with the line when it is not UTF-8: nothing is put in the place of what cannot be read
 */
export function decodeUtf8(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let line = 0;
  let from = 0;
  for (let to = bytes.indexOf('\n'); to >= 0 && isUtf8(bytes.subarray(from, to)); to = bytes.indexOf('\n', from)) {
    from = to + 1;
    line += 1;
  }
  throw new YamlRefused(`line ${line + 1}: the text is not UTF-8`);
}

/** What no YAML text may have unescaped; a second byte order mark is one of them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters it looks for.
const CONTROL = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]|\p{Cs}|(?<=^\ufeff)\ufeff/u;

function refuseControls(text: string): void {
  const at = CONTROL.exec(text);
  if (at === null) return;
  const before = text.slice(0, at.index).split('\n');
  const place = { line: before.length - 1, column: before.at(-1)?.length ?? 0 };
  const code = at[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  throw refusedAt(place, `the character U+${code} must not stand here unescaped`);
}
