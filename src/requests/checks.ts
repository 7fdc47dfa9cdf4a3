import { Failure } from '../errors/failure.ts';

/** A JSON object as a client sent it. Keys may be anything, `__proto__` included: look only at own properties. */
export type JsonObject = Record<string, unknown>;

/** Body that is no JSON, or holds text no database can keep (rest-api.md §7.4, D14). */
export const MALFORMED = 'The browser (or proxy) sent a request that this server could not understand.';

/** Refuses a request with 400 and this sentence. */
export function refuse(message: string): never {
  throw new Failure('request_invalid', message);
}

/** Refuses a request with 403 and this sentence. */
export function forbid(message: string): never {
  throw new Failure('request_forbidden', message);
}

/** JavaScript's `[]` and `{}` are truthy, the API's are not (rest-api.md §0). */
export function isFalsy(value: unknown): boolean {
  return value === false || isEmpty(value);
}

/** Falsy but not a boolean. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const has = (body: JsonObject, key: string): boolean => Object.hasOwn(body, key);

export const isNonEmptyString = (value: unknown): value is string => typeof value === 'string' && value !== '';

export const isStringList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every(isNonEmptyString);

/** Without duplicates, first occurrence kept. */
export const distinct = (values: readonly string[]): string[] => [...new Set(values)];

/** PS(x), rest-api.md §0: a pull spec is any text with `@` or `:`, or `scratch`. */
export function checkPullSpec(spec: string): void {
  if (!/[@:]/.test(spec) && spec !== 'scratch') refuse(`Image ${spec} should have a tag or a digest specified.`);
}

/**
 * V(required; optional), rest-api.md §2.2: the names of the parameters.
 *
 * @returns the body without the optional parameters that are empty
 */
export function checkNames(body: JsonObject, required: readonly string[], optional: readonly string[]): JsonObject {
  const missing = required.filter((name) => !has(body, name));
  if (missing.length > 0) refuse(`Missing required parameter(s): ${missing.join(', ')}`);
  refuseUnknown(body, [...required, ...optional]);
  for (const name of required) if (isFalsy(body[name])) refuse(`"${name}" must be set`);
  return without(
    body,
    optional.filter((name) => isEmpty(body[name])),
  );
}

/** The second check of V alone. */
export function refuseUnknown(body: JsonObject, known: readonly string[]): void {
  const unknown = Object.keys(body).filter((name) => !known.includes(name));
  if (unknown.length > 0) refuse(`The following parameters are invalid: ${unknown.join(', ')}`);
}

export function without(body: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}

/** The value when it is a string, null when it is falsy; anything else is refused with `message`. */
export function stringOrNone(value: unknown, message: string): string | null {
  if (isFalsy(value)) return null;
  return typeof value === 'string' ? value : refuse(message);
}

/** A list whose key, when there, must be a list of non-empty strings; duplicates dropped. */
export function stringList(body: JsonObject, name: string, message: string): string[] {
  if (!has(body, name)) return [];
  const value = body[name];
  return isStringList(value) ? distinct(value) : refuse(message);
}

/** A value that must be a boolean when its key is there; null when it is not. */
export function booleanIfPresent(body: JsonObject, name: string, message: string): boolean | null {
  if (!has(body, name)) return null;
  const value = body[name];
  return typeof value === 'boolean' ? value : refuse(message);
}

/** A value that must be a string when its key is there; null when it is not or is `""`. */
export function stringIfPresent(body: JsonObject, name: string, message: string): string | null {
  if (!has(body, name)) return null;
  const value = body[name];
  return typeof value === 'string' ? value || null : refuse(message);
}

/** An object of strings under `name`; none when its key is missing. */
export function stringMap(value: unknown, name: string): Record<string, string> {
  if (!isObject(value)) refuse(`The value of "${name}" must be a JSON object`);
  const wrong = Object.entries(value).find(([, text]) => typeof text !== 'string');
  if (wrong) refuse(`The key and value of "${wrong[0]}" must be a string`);
  return value as Record<string, string>;
}

/** Tags to put on the result; without duplicates and sorted, as answers show them (rest-api.md §2.2, D14). */
export function checkBuildTags(value: unknown): string[] {
  if (isEmpty(value)) return [];
  if (!isStringList(value)) refuse('"build_tags" should be either an empty array or an array of non-empty strings');
  return distinct(value).sort(byCodePoint);
}

/** X6: the distribution scope in lower case, null when not given. */
export function checkDistributionScope(value: unknown): string | null {
  if (isFalsy(value)) return null;
  const scope = typeof value === 'string' ? value.toLowerCase() : '';
  if (!['prod', 'stage', 'dev'].includes(scope)) {
    refuse('The "distribution_scope" value must be one of "dev", "stage", or "prod"');
  }
  return scope;
}

/** X10–X12: the binary image, which may be left out where the configuration names one. */
export function checkBinaryImage(value: unknown, required: boolean | undefined): string | null {
  if (value !== undefined && typeof value !== 'string') refuse('The "binary_image" value must be a string');
  if (!value) return required ? refuse('The "binary_image" value must be a non-empty string') : null;
  checkPullSpec(value);
  return value;
}

/** Refuses text that no database column can keep: NUL and lone surrogates (rest-api.md D14). */
export function refuseUnstorable(value: unknown): void {
  if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
    throw new Failure('request_unreadable', MALFORMED);
  }
  if (Array.isArray(value)) value.forEach(refuseUnstorable);
  else if (isObject(value)) Object.entries(value).flat().forEach(refuseUnstorable);
}

/** Order by Unicode code point; JavaScript's own order differs above U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    // Surrogates are code units below U+E000 that stand for code points above U+FFFF.
    if (x !== y) return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return a.length - b.length;
}

const isSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
