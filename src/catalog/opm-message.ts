import { basename } from 'node:path';
import { mask } from '../telemetry/secrets.ts';

/**
 * What opm says went wrong, for people: the last `Error: ` line, else the fatal line of its log, else its last plain
 * log line, else the first line of a crash (opm-and-index-db.md §2). Colours and the given local paths are taken out.
 *
 * @param local absolute paths that must not leave the process; each is replaced by its last segment
 */
export function opmMessage(stderr: string, local: readonly string[] = []): string | undefined {
  const lines = withoutColours(stderr).split('\n');
  const raw = returned(lines) ?? fatal(lines) ?? plain(lines) ?? crash(lines);
  return raw === undefined ? undefined : presentable(raw, local);
}

/** The first line of a Go crash, if this is one. A crash exits with 2, as does `registry add` for its own reasons. */
export function crashOf(stderr: string): string | undefined {
  return crash(stderr.split('\n'));
}

function returned(lines: readonly string[]): string | undefined {
  return lines.findLast((line) => line.startsWith('Error: '))?.slice('Error: '.length);
}

/** `level=fatal msg="…" error="…"`; the message is a mere `permissive mode disabled` where the error says more. */
function fatal(lines: readonly string[]): string | undefined {
  const line = lines.findLast((candidate) => /(^| )level=fatal( |$)/.test(candidate));
  if (line === undefined) return undefined;
  const message = field(line, 'msg');
  const error = field(line, 'error');
  return message === 'permissive mode disabled' || message === undefined ? (error ?? message) : message;
}

function plain(lines: readonly string[]): string | undefined {
  const stamp = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /;
  return lines.findLast((line) => stamp.test(line))?.replace(stamp, '');
}

function crash(lines: readonly string[]): string | undefined {
  return lines.find((line) => /^(panic: |fatal error: |runtime: out of memory)/.test(line));
}

function field(line: string, key: string): string | undefined {
  const found = new RegExp(`(?:^| )${key}=(?:"((?:[^"\\\\]|\\\\.)*)"|(\\S+))`).exec(line);
  return found?.[1] === undefined ? found?.[2] : unquoted(found[1]);
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '', b: '', f: '', v: '' };

/** The text of a string literal of Go. */
function unquoted(literal: string): string {
  return literal.replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gi, (_, x, u, long, letter) => {
    const code = x ?? u ?? long;
    return code === undefined ? (ESCAPES[letter] ?? letter) : String.fromCodePoint(Number.parseInt(code, 16));
  });
}

function withoutColours(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a colour.
  return text.replace(/(?:\u001b|\\x1b)\[[0-9;]*m/g, '');
}

function presentable(text: string, local: readonly string[]): string {
  const longestFirst = [...local].sort((a, b) => b.length - a.length);
  let clean = withoutColours(text);
  for (const path of longestFirst) clean = clean.replaceAll(path, basename(path));
  return mask(clean.replace(/(?:\.\/)?\bbundle_tmp\d+/g, 'bundle').trim());
}
