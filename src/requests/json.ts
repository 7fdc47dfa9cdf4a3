import { byCodePoint, isObject } from './checks.ts';

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
  refuseDepth(text);
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
  refuseDepth(text);
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
  return JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One pass over the text, without a regular expression: those overflow on strings of megabytes. */
function refuseDepth(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (quoted && character === '\\') i += 1;
    else if (character === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > DEEPEST) throw new SyntaxError('JSON nested too deep');
  }
}
