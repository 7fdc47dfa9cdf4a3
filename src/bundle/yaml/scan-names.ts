import { type Cursor, isBlank, isBreak, isBreakOrEnd, isDigit, isSpaceOrEnd, isWord, type Mark } from './cursor.ts';

/** The name after `&` or `*`. @throws YamlRefused */
export function scanAnchor(cursor: Cursor): string {
  const start = cursor.mark();
  cursor.skip();
  const from = cursor.pos;
  cursor.skipWhile(isWord);
  const name = cursor.text.slice(from, cursor.pos);
  const next = cursor.text.charAt(cursor.pos);
  if (name === '' || !(isSpaceOrEnd(cursor.code()) || '?:,]}%@`'.includes(next))) {
    throw cursor.refused('an anchor or alias needs a name of letters, digits, "-" and "_"', start);
  }
  return name;
}

/** A tag as it is written: with a handle that stands for a prefix, or in full. */
export interface ScannedTag {
  /** Empty when the suffix is the whole tag. */
  handle: string;
  suffix: string;
}

/** What stands after `!`. @throws YamlRefused */
export function scanTag(cursor: Cursor): ScannedTag {
  const start = cursor.mark();
  let tag: ScannedTag;
  if (cursor.sees('!<')) {
    cursor.skip(2);
    tag = { handle: '', suffix: scanUri(cursor, '', start) };
    if (cursor.code() !== 0x3e) throw cursor.refused('the tag is not closed by ">"', start);
    cursor.skip();
  } else {
    const handle = scanHandle(cursor, start);
    if (handle.length > 1 && handle.endsWith('!')) tag = { handle, suffix: scanUri(cursor, '', start) };
    else {
      const suffix = scanUri(cursor, handle, start);
      tag = suffix === '' ? { handle: '', suffix: '!' } : { handle: '!', suffix };
    }
  }
  if (!isSpaceOrEnd(cursor.code())) throw cursor.refused('white space is expected after a tag', start);
  return tag;
}

function scanHandle(cursor: Cursor, start: Mark): string {
  if (cursor.code() !== 0x21) throw cursor.refused('a tag handle begins with "!"', start);
  const from = cursor.pos;
  cursor.skip();
  cursor.skipWhile(isWord);
  if (cursor.code() === 0x21) cursor.skip();
  return cursor.text.slice(from, cursor.pos);
}

const URI = new Set(Array.from(";/?:@&=+$,.!~*'()[]", (character) => character.charCodeAt(0)));

/** @param head what was read already; its `!` is no part of the address */
function scanUri(cursor: Cursor, head: string, start: Mark): string {
  let uri = head.slice(1);
  let found = head !== '';
  for (;;) {
    if (cursor.code() === 0x25) uri += scanOctets(cursor, start);
    else if (isWord(cursor.code()) || URI.has(cursor.code())) {
      uri += cursor.text.charAt(cursor.pos);
      cursor.skip();
    } else break;
    found = true;
  }
  if (!found) throw cursor.refused('a tag is expected', start);
  return uri;
}

/** One character, as the octets of its UTF-8 form. */
function scanOctets(cursor: Cursor, start: Mark): string {
  const octets: number[] = [];
  let length = 1;
  while (octets.length < length) {
    const octet = /^%([0-9A-Fa-f]{2})/.exec(cursor.text.slice(cursor.pos, cursor.pos + 3))?.[1];
    if (octet === undefined) throw cursor.refused('"%" in a tag must be followed by two hexadecimal digits', start);
    octets.push(Number.parseInt(octet, 16));
    cursor.skip(3);
    const first = octets[0] ?? 0;
    length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(octets));
  } catch {
    throw cursor.refused('the octets of a tag are not UTF-8', start);
  }
}

/** A line that begins with `%`. */
export type ScannedDirective = { name: 'YAML'; version: string } | { name: 'TAG'; handle: string; prefix: string };

/** @throws YamlRefused */
export function scanDirective(cursor: Cursor): ScannedDirective {
  const start = cursor.mark();
  cursor.skip();
  const from = cursor.pos;
  cursor.skipWhile(isWord);
  const name = cursor.text.slice(from, cursor.pos);
  if ((name !== 'YAML' && name !== 'TAG') || !isSpaceOrEnd(cursor.code())) {
    throw cursor.refused('unknown directive; %YAML and %TAG are known', start);
  }
  cursor.skipWhile(isBlank);
  const directive: ScannedDirective =
    name === 'YAML' ? { name, version: scanVersion(cursor, start) } : { name, ...scanPrefix(cursor, start) };
  cursor.skipWhile(isBlank);
  cursor.skipComment();
  if (!isBreakOrEnd(cursor.code())) throw cursor.refused('a line break is expected after a directive', start);
  if (isBreak(cursor.code())) cursor.readBreak();
  return directive;
}

function scanVersion(cursor: Cursor, start: Mark): string {
  const number = () => {
    const from = cursor.pos;
    cursor.skipWhile(isDigit);
    const digits = cursor.text.slice(from, cursor.pos);
    if (digits === '' || digits.length > 2) throw cursor.refused('%YAML needs a version', start);
    return Number(digits);
  };
  const major = number();
  if (cursor.code() !== 0x2e) throw cursor.refused('%YAML needs a version', start);
  cursor.skip();
  return `${major}.${number()}`;
}

function scanPrefix(cursor: Cursor, start: Mark): { handle: string; prefix: string } {
  const handle = scanHandle(cursor, start);
  if (handle !== '!' && !(handle.length > 1 && handle.endsWith('!'))) {
    throw cursor.refused('the handle of %TAG ends with "!"', start);
  }
  if (!isBlank(cursor.code())) throw cursor.refused('%TAG needs a handle and a prefix', start);
  cursor.skipWhile(isBlank);
  const prefix = scanUri(cursor, '', start);
  if (!isSpaceOrEnd(cursor.code())) throw cursor.refused('white space is expected after the prefix of %TAG', start);
  return { handle, prefix };
}
