import { byCodePoint, isObject, refuse } from './checks.ts';

/** Deeper texts are refused: upstream gives up at about 480 levels, ours must hold 100 (rest-api.md D37). */
const DEEPEST = 1000;

declare global {
  interface JSON {
    rawJSON(text: string): { readonly rawJSON: string };
    isRawJSON(value: unknown): value is { readonly rawJSON: string };
  }
}

/** Parses JSON text. @throws SyntaxError when it is none, or is nested too deep */
export function parseJson(text: string): unknown {
  measure(text);
  return JSON.parse(text);
}

/**
 * Parses the JSON text of a body.
 *
 * @param maxValues how many values it may hold in all; looked at before anything is made of them
 * @throws SyntaxError like `parseJson`; Failure `request_invalid` for more values
 */
export function parseBody(text: string, maxValues: number): unknown {
  const values = measure(text);
  if (values > maxValues) {
    refuse(`The body has ${values} values; at most ${maxValues} are allowed. Send several requests.`);
  }
  return JSON.parse(text);
}

export function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Parses JSON text with numbers kept as they were written, so that integers beyond 2^53 survive (rest-api.md §0).
 * Numbers JavaScript cannot hold exactly become raw JSON, which only `writeJson` understands. @throws like parseJson
 */
export function parseNumbersAsWritten(text: string): unknown {
  measure(text);
  const keep = (_key: string, value: unknown, { source }: { source?: string }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? JSON.rawJSON(source) : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown);
}

/** JSON in the byte form of rest-api.md §0: keys sorted by code point, no blanks, ASCII only. No newline at the end. */
export function writeJson(value: unknown): string {
  if (typeof value === 'string') return writeString(value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  if (JSON.isRawJSON(value)) return value.rawJSON;
  if (isObject(value)) {
    const keys = Object.keys(value).sort(byCodePoint);
    return `{${keys.map((key) => `${writeString(key)}:${writeJson(value[key])}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

function writeString(text: string): string {
  const written = JSON.stringify(text);
  return /[\u0080-\uffff]/.test(written) ? escapeNonAscii(written) : written;
}

const HEX = Buffer.from('0123456789abcdef');

/** Into bytes: replacing by a regular expression took ten times as long for two million characters. */
function escapeNonAscii(text: string): string {
  const bytes = Buffer.allocUnsafe(text.length * 6);
  let end = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      bytes[end++] = unit;
      continue;
    }
    bytes[end++] = 0x5c;
    bytes[end++] = 0x75;
    for (let shift = 12; shift >= 0; shift -= 4) bytes[end++] = HEX[(unit >> shift) & 15]!;
  }
  return bytes.toString('latin1', 0, end);
}

/**
 * One pass over the text, without a regular expression: those overflow on strings of megabytes.
 *
 * @returns how many values it has, if it is JSON
 * @throws SyntaxError when it is nested too deep
 */
function measure(text: string): number {
  let depth = 0;
  let values = 1;
  let quoted = false;
  /** Whether nothing has come yet in the array or object that was opened last. */
  let opened = false;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === BACKSLASH) i += 1;
      else if (code === QUOTE) quoted = false;
      continue;
    }
    if (code === SPACE || code === TAB || code === LINE_FEED || code === RETURN) continue;
    if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth -= 1;
    else if (opened || code === COMMA) values += 1;
    opened = code === OPEN_BRACKET || code === OPEN_BRACE;
    if (opened) depth += 1;
    else if (code === QUOTE) quoted = true;
    if (depth > DEEPEST) throw new SyntaxError('JSON nested too deep');
  }
  return values;
}

const [TAB, LINE_FEED, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
