import { AsyncLocalStorage } from 'node:async_hooks';
import { Failure } from '../errors/failure.ts';

/**
 * Which values are hidden where (docs/architecture.md, "Secrets"):
 *
 * - The service's own are hidden everywhere, whoever reads one registers it (`registerSecret`).
 * - A request's are hidden in all that is written while it is worked on, and forgotten with that work (`inSecretScope`).
 * - In texts of others, and in lines of the log that belong to no request, those of all open requests are hidden only
 *   where they cannot be ordinary text: whoever sends a token does not decide what others can read.
 */

/** Characters of one secret of a request at most. */
export const LONGEST_SECRET = 65_536;
/** Secrets of one request at most, and their characters together. */
const SECRETS_OF_A_REQUEST = 500;
const CHARACTERS_OF_A_REQUEST = 1_048_576;
/** The service's own secrets that are kept, those registered last: renewed tokens push out the ones before them. */
const OWN_SECRETS = 2000;
const SHORTEST_SECRET = 4;
/** Characters that a part of a token must have to be hidden without the rest. */
const SHORTEST_PART = 8;
const SHORTEST_WORD = 12;
const SHORTEST_UNMISTAKABLE = 16;

/** The service's own secrets in all their forms, the one registered last at the end. */
const own = new Map<string, readonly string[]>();

interface Scope {
  /** What is hidden in the texts of this request. */
  forms: Set<string>;
  /** Those of the forms that no ordinary text has. */
  unmistakable: Set<string>;
  secrets: Set<string>;
  characters: number;
}

const scopes = new AsyncLocalStorage<Scope>();
const open = new Set<Scope>();

/** Hides a secret of the service from now on everywhere. Very short values are not: they would garble everything. */
export function registerSecret(secret: string | undefined): void {
  if (!secret || secret.length < SHORTEST_SECRET) return;
  const forms = own.get(secret) ?? formsOf(secret);
  own.delete(secret);
  own.set(secret, forms);
  for (const oldest of own.keys()) {
    if (own.size <= OWN_SECRETS) break;
    own.delete(oldest);
  }
}

/** Does work on one request, or on the requests of one delivery: their secrets are forgotten when it has ended. */
export async function inSecretScope<T>(work: () => Promise<T>): Promise<T> {
  const scope: Scope = { forms: new Set(), unmistakable: new Set(), secrets: new Set(), characters: 0 };
  open.add(scope);
  try {
    return await scopes.run(scope, work);
  } finally {
    open.delete(scope);
  }
}

/**
 * Hides a secret of the request that is worked on: as it is, in base64, in URLs and in JSON, and if it is `user:password`,
 * the password alone, unless that may be ordinary text. Outside of any scope nobody could forget it, so that nothing is
 * remembered.
 *
 * @throws Failure `request_invalid` when a secret, or the number of them, is greater than any client needs
 */
export function registerRequestSecret(secret: string): void {
  if (secret.length > LONGEST_SECRET) {
    throw new Failure('request_invalid', `A token must not be longer than ${LONGEST_SECRET} characters`);
  }
  const scope = scopes.getStore();
  if (scope === undefined || secret.length < SHORTEST_SECRET || scope.secrets.has(secret)) return;
  scope.secrets.add(secret);
  scope.characters += secret.length;
  if (scope.secrets.size > SECRETS_OF_A_REQUEST || scope.characters > CHARACTERS_OF_A_REQUEST) {
    throw new Failure(
      'request_invalid',
      `The tokens of a request must not be more than ${SECRETS_OF_A_REQUEST}, nor longer than ${CHARACTERS_OF_A_REQUEST} characters together`,
    );
  }
  const part = secret.slice(secret.indexOf(':') + 1);
  const hidden = part === secret || isCommon(part) ? [secret] : [secret, part];
  for (const form of hidden.flatMap(formsOf)) {
    scope.forms.add(form);
    if (isUnmistakable(form)) scope.unmistakable.add(form);
  }
}

/** A value as JSON has them with every text in it masked, keys as well. */
export function maskValues(value: unknown): unknown {
  if (typeof value === 'string') return mask(value);
  if (Array.isArray(value)) return value.map(maskValues);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [mask(key), maskValues(one)]));
}

/** The text with every secret that must not be seen in it replaced by `*****`. */
export function mask(text: string): string {
  const scope = scopes.getStore();
  const everywhere = [...own.values(), ...(scope === undefined ? [] : [scope.forms])].flatMap((forms) => [...forms]);
  const places = everywhere.flatMap((secret) => occurrences(secret, text));
  for (const { unmistakable } of open) {
    for (const secret of unmistakable) {
      places.push(...occurrences(secret, text).filter((place) => standsAlone(text, place)));
    }
  }
  return without(places, text);
}

/**
 * The text with every place where one of the secrets stands replaced by `*****`. Secrets may be parts of one another or
 * overlap: every character that belongs to one is hidden.
 *
 * @param secrets none of them empty
 */
export function hide(secrets: Iterable<string>, text: string): string {
  return without(
    [...secrets].flatMap((secret) => occurrences(secret, text)),
    text,
  );
}

/** UTF-16 units; the end is the first that does not belong to it. */
interface Place {
  start: number;
  end: number;
}

function without(places: Place[], text: string): string {
  let shown = '';
  let end = 0;
  for (const place of places.sort((a, b) => a.start - b.start)) {
    if (place.start >= end) shown += `${text.slice(end, place.start)}*****`;
    end = Math.max(end, place.end);
  }
  return shown + text.slice(end);
}

/** Where the secret stands in the text; also where it overlaps itself. */
function occurrences(secret: string, text: string): Place[] {
  const found = [];
  for (let start = text.indexOf(secret); start >= 0; start = text.indexOf(secret, start + 1))
    found.push({ start, end: start + secret.length });
  return found;
}

function formsOf(secret: string): string[] {
  const forms = [
    secret,
    Buffer.from(secret).toString('base64'),
    encodeURIComponent(secret.toWellFormed()),
    JSON.stringify(secret).slice(1, -1),
  ];
  return [...new Set(forms)];
}

const ADDRESSES = [
  /^[a-z][a-z+.-]*:\/\//,
  // A host's name, with a port or with two dots.
  /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+):\d+$/,
  /^[a-z0-9-]+(?:\.[a-z0-9-]+){2,}$/,
  // A repository or a pull spec.
  /^[a-z0-9._:-]+(?:\/[a-z0-9._-]+)+(?:[:@][\w.:-]+)?$/,
];

/** Whether a password may be text that stands elsewhere for other reasons: short, a number, an address, a name, a word. */
function isCommon(part: string): boolean {
  if (part.length < SHORTEST_PART) return true;
  if (/^[\d\s.:/-]*$/.test(part)) return true;
  if (ADDRESSES.some((address) => address.test(part)) && !hasRandomRun(part)) return true;
  return /^(?:[a-z]+|[A-Z]+)$/.test(part) && part.length < SHORTEST_WORD;
}

/** Whether text with this in it can only be text with this secret in it. */
function isUnmistakable(form: string): boolean {
  return !/\s/.test(form) && hasRandomRun(form);
}

/** Letters mixed with digits for a while, which are neither a digest nor an id of a commit. */
function hasRandomRun(text: string): boolean {
  return text
    .split(/[^A-Za-z0-9]+/)
    .some(
      (run) =>
        run.length >= SHORTEST_UNMISTAKABLE &&
        /\d/.test(run) &&
        /[A-Za-z]/.test(run) &&
        !([32, 40, 64, 96, 128].includes(run.length) && /^[0-9a-f]+$/.test(run)),
    );
}

/** Not a piece of something longer, such as of a digest. */
function standsAlone(text: string, { start, end }: Place): boolean {
  return !/[A-Za-z0-9]/.test(text[start - 1] ?? ' ') && !/[A-Za-z0-9]/.test(text[end] ?? ' ');
}
