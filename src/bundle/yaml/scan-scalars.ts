import { type Cursor, isBlank, isBreak, isBreakOrEnd, isDigit, isSpaceOrEnd } from './cursor.ts';

/** How a scalar is written. */
export type Style = 'plain' | 'single' | 'double' | 'literal' | 'folded';

/** A scalar's text, and where the part of the file that it is written in ends. */
export interface ScannedScalar {
  value: string;
  /** UTF-16 code units. */
  to: number;
}

/** Line breaks and blanks between two parts of a flow scalar, folded as YAML says. */
class Gap {
  blanks = '';
  first = '';
  more = '';

  get hasBreak(): boolean {
    return this.first !== '';
  }

  addBreak(text: string): void {
    if (this.hasBreak) this.more += text;
    else {
      this.blanks = '';
      this.first = text;
    }
  }

  /** @param escaped whether a backslash stood before the first break */
  folded(escaped = false): string {
    if (!this.hasBreak && !escaped) return this.blanks;
    if (this.first !== '\n') return this.first + this.more;
    return this.more === '' ? ' ' : this.more;
  }
}

/**
 * A scalar without quotes.
 *
 * @param indent column of the collection it is in, -1 outside of any
 * @throws YamlRefused
 */
export function scanPlain(
  cursor: Cursor,
  { flow, indent }: { flow: boolean; indent: number },
): ScannedScalar & { endsLine: boolean } {
  let value = '';
  let to = cursor.pos;
  let gap = new Gap();
  const start = cursor.mark();
  while (!cursor.seesDocumentMarker('---') && !cursor.seesDocumentMarker('...') && cursor.code() !== 0x23) {
    const from = cursor.pos;
    while (!endsPlain(cursor, flow)) cursor.skip();
    if (cursor.pos > from) {
      value += gap.folded() + cursor.text.slice(from, cursor.pos);
      gap = new Gap();
      to = cursor.pos;
    }
    if (!isBlank(cursor.code()) && !isBreak(cursor.code())) break;
    while (isBlank(cursor.code()) || isBreak(cursor.code())) {
      if (isBreak(cursor.code())) {
        gap.addBreak(cursor.readBreak());
        continue;
      }
      if (gap.hasBreak && cursor.column <= indent && cursor.code() === 0x09) {
        throw cursor.refused('a tab stands where indentation is expected', start);
      }
      if (!gap.hasBreak) gap.blanks += String.fromCharCode(cursor.code());
      cursor.skip();
    }
    if (!flow && cursor.column <= indent) break;
  }
  return { value, to, endsLine: gap.hasBreak };
}

const FLOW_INDICATORS = new Set(Array.from(',?[]{}', (character) => character.charCodeAt(0)));

function endsPlain(cursor: Cursor, flow: boolean): boolean {
  const code = cursor.code();
  if (isSpaceOrEnd(code)) return true;
  if (code === 0x3a && isSpaceOrEnd(cursor.code(1))) return true;
  return flow && FLOW_INDICATORS.has(code);
}

/** Which escapes double quotes may have: JSON knows two more, `\/` and characters as pairs of surrogates. */
export type Escapes = 'yaml' | 'json';

/** A scalar in quotes. @throws YamlRefused */
export function scanQuoted(cursor: Cursor, style: 'single' | 'double', escapes: Escapes): ScannedScalar {
  const start = cursor.mark();
  const quote = cursor.code();
  let value = '';
  cursor.skip();
  for (;;) {
    if (cursor.seesDocumentMarker('---') || cursor.seesDocumentMarker('...')) {
      throw cursor.refused('a document begins or ends inside quotes', start);
    }
    if (cursor.code() === 0) throw cursor.refused('the closing quote is missing', start);
    let escaped = false;
    let from = cursor.pos;
    while (!isSpaceOrEnd(cursor.code())) {
      if (cursor.code() === quote) {
        if (style === 'double' || cursor.code(1) !== quote) break;
        value += cursor.text.slice(from, cursor.pos + 1);
        cursor.skip(2);
        from = cursor.pos;
      } else if (style === 'double' && cursor.code() === 0x5c) {
        value += cursor.text.slice(from, cursor.pos);
        escaped = isBreak(cursor.code(1));
        if (escaped) {
          cursor.skip();
          cursor.readBreak();
        } else value += (escapes === 'json' ? scanJsonEscape(cursor) : undefined) ?? scanEscape(cursor);
        from = cursor.pos;
        if (escaped) break;
      } else cursor.skip();
    }
    value += cursor.text.slice(from, cursor.pos);
    if (cursor.code() === quote) break;
    const gap = new Gap();
    while (isBlank(cursor.code()) || isBreak(cursor.code())) {
      if (isBreak(cursor.code())) {
        if (escaped) gap.more += cursor.readBreak();
        else gap.addBreak(cursor.readBreak());
      } else {
        if (!gap.hasBreak && !escaped) gap.blanks += String.fromCharCode(cursor.code());
        cursor.skip();
      }
    }
    value += gap.folded(escaped);
  }
  cursor.skip();
  return { value, to: cursor.pos };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  a: '\u0007',
  b: '\b',
  t: '\t',
  '\t': '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  e: '\u001b',
  ' ': ' ',
  '"': '"',
  "'": "'",
  '\\': '\\',
  N: '\u0085',
  _: '\u00a0',
  L: '\u2028',
  P: '\u2029',
};
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

function scanJsonEscape(cursor: Cursor): string | undefined {
  if (cursor.sees('\\/')) {
    cursor.skip(2);
    return '/';
  }
  const pair = /^\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/i.exec(cursor.text.slice(cursor.pos, cursor.pos + 12));
  if (pair === null) return undefined;
  cursor.skip(12);
  return String.fromCharCode(...pair.slice(1).map((unit) => Number.parseInt(unit, 16)));
}

function scanEscape(cursor: Cursor): string {
  const letter = cursor.text.charAt(cursor.pos + 1);
  const digits = Object.hasOwn(DIGITS, letter) ? DIGITS[letter] : undefined;
  if (digits === undefined) {
    const meant = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (meant === undefined) throw cursor.refused('unknown escape sequence');
    cursor.skip(2);
    return meant;
  }
  const hex = cursor.text.slice(cursor.pos + 2, cursor.pos + 2 + digits);
  const value = Number.parseInt(hex, 16);
  if (hex.length < digits || !/^[0-9A-Fa-f]+$/.test(hex)) {
    throw cursor.refused(`\\${letter} must be followed by ${digits} hexadecimal digits`);
  }
  if ((value >= 0xd800 && value <= 0xdfff) || value > 0x10ffff) {
    throw cursor.refused(`\\${letter}${hex} is no character`);
  }
  cursor.skip(2 + digits);
  return String.fromCodePoint(value);
}

/**
 * A scalar after `|` or `>`.
 *
 * @param parent column of the collection it is in, -1 outside of any
 * @throws YamlRefused
 */
export function scanBlock(cursor: Cursor, style: 'literal' | 'folded', parent: number): ScannedScalar {
  const start = cursor.mark();
  cursor.skip();
  const { chomping, increment } = scanBlockHeader(cursor, start);
  const lines = { indent: increment === 0 ? 0 : Math.max(parent, 0) + increment, to: cursor.pos };
  let { to } = lines;
  let trailing = scanBlankLines(cursor, lines, parent);
  let value = '';
  let lineBreak = '';
  let afterBlank = false;
  while (cursor.column === lines.indent && cursor.code() !== 0) {
    const blank = isBlank(cursor.code());
    const folds = style === 'folded' && !afterBlank && !blank && lineBreak === '\n';
    if (!folds) value += lineBreak;
    else if (trailing === '') value += ' ';
    value += trailing;
    afterBlank = blank;
    const from = cursor.pos;
    while (!isBreakOrEnd(cursor.code())) cursor.skip();
    value += cursor.text.slice(from, cursor.pos);
    lineBreak = cursor.code() === 0 ? '' : cursor.readBreak();
    to = cursor.pos;
    trailing = scanBlankLines(cursor, lines, parent);
  }
  if (chomping !== '-') value += lineBreak;
  if (chomping !== '+') return { value, to };
  return { value: value + trailing, to: lines.to };
}

function scanBlockHeader(cursor: Cursor, start: { line: number; column: number }) {
  let chomping = '';
  let increment = 0;
  const scanChomping = () => {
    if (chomping !== '' || (cursor.code() !== 0x2b && cursor.code() !== 0x2d)) return;
    chomping = cursor.text.charAt(cursor.pos);
    cursor.skip();
  };
  scanChomping();
  if (isDigit(cursor.code())) {
    increment = cursor.code() - 0x30;
    if (increment === 0) throw cursor.refused('the indentation of a block must not be 0', start);
    cursor.skip();
    scanChomping();
  }
  cursor.skipWhile(isBlank);
  cursor.skipComment();
  if (!isBreakOrEnd(cursor.code())) throw cursor.refused('a line break is expected after the start of a block', start);
  if (cursor.code() !== 0) cursor.readBreak();
  return { chomping, increment };
}

/** Passes over empty lines and the indentation of the next one, which tells the block's indentation if it is not known. */
function scanBlankLines(cursor: Cursor, lines: { indent: number; to: number }, parent: number): string {
  let breaks = '';
  let widest = 0;
  lines.to = cursor.pos;
  for (;;) {
    while ((lines.indent === 0 || cursor.column < lines.indent) && cursor.code() === 0x20) cursor.skip();
    widest = Math.max(widest, cursor.column);
    if ((lines.indent === 0 || cursor.column < lines.indent) && cursor.code() === 0x09) {
      throw cursor.refused('a tab stands where indentation is expected');
    }
    if (!isBreak(cursor.code())) break;
    breaks += cursor.readBreak();
    lines.to = cursor.pos;
  }
  if (lines.indent === 0) lines.indent = Math.max(widest, parent + 1, 1);
  return breaks;
}
