import { Failure } from '../errors/failure.ts';

/** One COPY of a Dockerfile: a directory of the build context, where it goes and whose it is there. */
export interface Copy {
  source: string;
  /** Absolute path in the image. */
  target: string;
  uid: number;
  gid: number;
  /** The instruction as written, for the image's history. */
  text: string;
}

export interface Containerfile {
  /** Pull spec of the base image, or `scratch`. */
  base: string;
  /** Undefined where the Dockerfile says nothing and the base decides. */
  entrypoint: string[] | undefined;
  cmd: string[] | undefined;
  labels: Record<string, string>;
  copies: Copy[];
}

/** What a kind of repository's Dockerfile is about. */
export interface Kind {
  whose: string;
  /** Directories that can be copied into the image, and those that must be. */
  sources: readonly string[];
  required: readonly string[];
}

export const CATALOG: Kind = { whose: 'a catalog', sources: ['configs', 'cache'], required: ['configs'] };
export const BUNDLE: Kind = {
  whose: 'a bundle',
  sources: ['manifests', 'metadata'],
  required: ['manifests', 'metadata'],
};

/**
 * Reads a repository's Dockerfile. Only what such a file needs is understood (konflux-and-gitlab.md §3.5):
 * ARG, one FROM, ENTRYPOINT and CMD as JSON, LABEL, and COPY or ADD of the kind's directories. The image is assembled for
 * all architectures without running anything in it, so every other instruction is refused by name.
 *
 * @param args build arguments; they win over the defaults of ARG
 * @throws Failure `request_invalid` with the line
 */
export function parseContainerfile(text: string, args: Record<string, string>, kind: Kind = CATALOG): Containerfile {
  const known: Record<string, string> = {};
  const file: Partial<Containerfile> & Pick<Containerfile, 'labels' | 'copies'> = { labels: {}, copies: [] };
  for (const { line, words } of instructions(text)) {
    const [name = '', rest = ''] = split(words);
    const refuse = (why: string): never => {
      throw new Failure('request_invalid', `Dockerfile line ${line}: ${why}`);
    };
    const keyword = name.toUpperCase();
    if (file.base === undefined && keyword !== 'ARG' && keyword !== 'FROM') refuse(`${keyword} stands before FROM`);
    switch (keyword) {
      case 'ARG': {
        const [key = '', ...fallback] = rest.split('=');
        const value =
          args[key] ?? (fallback.length > 0 ? expand(unquote(fallback.join('=')), known, refuse) : undefined);
        if (value !== undefined) known[key] = value;
        break;
      }
      case 'FROM': {
        if (file.base !== undefined) refuse('a second FROM is not supported');
        const image = rest.split(/\s+/).filter((word) => !word.startsWith('--'))[0] ?? '';
        file.base = expand(image, known, refuse);
        if (file.base === '') refuse('FROM names no image');
        break;
      }
      case 'ENTRYPOINT':
        file.entrypoint = strings(rest) ?? refuse('ENTRYPOINT must be a JSON array of strings');
        break;
      case 'CMD':
        file.cmd = strings(rest) ?? refuse('CMD must be a JSON array of strings');
        break;
      case 'LABEL':
        Object.assign(file.labels, labels(expand(rest, known, refuse)) ?? refuse('LABEL must be written as key=value'));
        break;
      case 'COPY':
      case 'ADD':
        file.copies.push(copy(words, rest, kind, refuse));
        break;
      case 'RUN':
        refuse(
          `RUN is not supported: the image is assembled for all architectures without running anything in it${
            kind === CATALOG
              ? '; the cache is made beforehand and belongs in by "COPY --chown=1001:0 cache /tmp/cache"'
              : ''
          }`,
        );
        break;
      default:
        refuse(
          `${keyword} is not supported; ${kind.whose}'s Dockerfile has ARG, FROM, ENTRYPOINT, CMD, LABEL, COPY and ADD`,
        );
    }
  }
  if (file.base === undefined) throw new Failure('request_invalid', 'The Dockerfile has no FROM');
  const missing = kind.required.find((name) => !file.copies.some(({ source }) => source === name));
  if (missing !== undefined) {
    throw new Failure(
      'request_invalid',
      `The Dockerfile does not copy ${missing} into the image ("COPY ${missing} /${missing}")`,
    );
  }
  return { ...file, base: file.base, entrypoint: file.entrypoint, cmd: file.cmd };
}

type Refuse = (why: string) => never;

/** Instructions with continuation lines joined, comments and blank lines left out, and the line each begins on. */
function instructions(text: string): { line: number; words: string }[] {
  const found: { line: number; words: string }[] = [];
  let open: { line: number; words: string } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const goesOn = line.endsWith('\\');
    const words = goesOn ? line.slice(0, -1).trim() : line;
    if (open) open.words += ` ${words}`;
    else {
      open = { line: index + 1, words };
      found.push(open);
    }
    if (!goesOn) open = undefined;
  }
  return found;
}

function split(words: string): [string, string] {
  const at = words.search(/\s/);
  return at < 0 ? [words, ''] : [words.slice(0, at), words.slice(at).trim()];
}

function expand(text: string, known: Record<string, string>, refuse: Refuse): string {
  // An escaped dollar is none; who reads the value takes the backslash away.
  return text.replace(/\\.|\$(?:\{(\w+)\}|(\w+))/gs, (all, braced: string | undefined, bare: string | undefined) => {
    if (all.startsWith('\\')) return all;
    const key = braced ?? bare ?? '';
    return known[key] ?? refuse(`${key} has no value: the build metadata gives none and ARG has no default`);
  });
}

function unquote(text: string): string {
  return /^(["']).*\1$/s.test(text) ? text.slice(1, -1) : text;
}

/** The strings of a JSON array, undefined when it is something else. */
function strings(text: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((word) => typeof word === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

function labels(text: string): Record<string, string> | undefined {
  const pair = /\s*("(?:[^"\\]|\\.)*"|[^\s="]+)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']*)/y;
  const found: Record<string, string> = {};
  for (let match = pair.exec(text); match; match = pair.exec(text)) {
    const value = unquote(match[2] ?? '');
    found[unquote(match[1] ?? '')] = match[2]?.startsWith('"') ? value.replace(/\\(.)/g, '$1') : value;
    if (pair.lastIndex >= text.trimEnd().length) return found;
  }
  return undefined;
}

function copy(text: string, rest: string, { sources }: Kind, refuse: Refuse): Copy {
  const words = strings(rest) ?? rest.split(/\s+/);
  const flags = words.filter((word) => word.startsWith('--'));
  const [source = '', target = '', ...more] = words.filter((word) => !word.startsWith('--'));
  let [uid, gid] = [0, 0];
  for (const flag of flags) {
    const owner = /^--chown=(\d+)(?::(\d+))?$/.exec(flag) ?? refuse(`${flag} is not supported; --chown=<uid>:<gid> is`);
    [uid, gid] = [Number(owner[1]), Number(owner[2] ?? owner[1])];
  }
  if (more.length > 0 || !target.startsWith('/')) refuse('a copy has one source and one absolute target');
  const name = source.replace(/^\.?\//, '').replace(/\/+\.?$/, '');
  if (!sources.includes(name)) refuse(`only ${sources.join(' and ')} can be copied, not "${source}"`);
  return { source: name, target: target.replace(/(.)\/+$/, '$1'), uid, gid, text };
}
