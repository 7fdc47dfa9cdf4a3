import type { Config } from '../config/schema.ts';
import type { Database } from '../db/pool.ts';
import { isKnown, isKnownPrefix } from '../db/pull-specs.ts';
import type { RequestFilter } from '../db/requests.ts';
import { REQUEST_TYPES } from '../requests/all.ts';
import { refuse } from '../requests/checks.ts';
import { checkStateName } from '../requests/patch.ts';
import { notFound } from './answers.ts';

/** The filters that page links repeat, in their order (rest-api.md §4). */
const FILTERS = ['state', 'batch', 'request_type', 'user', 'from_index', 'from_index_startswith', 'index_image'];

export interface Page {
  page: number;
  perPage: number;
}

/**
 * The query of a request URL. Of a parameter given twice `get` answers the first; escaped bytes that are no UTF-8 stay
 * as they were written.
 */
export function readQuery(url: string): URLSearchParams {
  return new URLSearchParams(new URL(url).search.replace(/(?:%[0-9a-f]{2})+/gi, keepUndecodable));
}

/** A run of escapes with those that are no UTF-8 escaped once more. */
function keepUndecodable(run: string): string {
  const escapes = run.match(/%../g) ?? [];
  let kept = '';
  for (let i = 0; i < escapes.length; ) {
    const length = [1, 2, 3, 4].find((count) => isText(escapes.slice(i, i + count))) ?? 0;
    kept += length > 0 ? escapes.slice(i, i + length).join('') : `%25${escapes[i]?.slice(1).toUpperCase()}`;
    i += Math.max(length, 1);
  }
  return kept;
}

function isText(escapes: string[]): boolean {
  try {
    return decodeURIComponent(escapes.join('')) !== '';
  } catch {
    return false;
  }
}

/** ASCII digits with optional sign and blanks (rest-api.md D34); null when the text is no such number. */
function integer(text: string): number | null {
  return /^[ \t\n\r\f\v]*[+-]?\d+[ \t\n\r\f\v]*$/.test(text) ? Number(text) : null;
}

/** The filters of a list, checked in the order of rest-api.md §4. Fails `request_invalid`. */
export async function readFilter(query: URLSearchParams, db: Database): Promise<RequestFilter> {
  const filter: RequestFilter = {};
  const state = query.get('state');
  if (state) filter.state = checkStateName(state);
  const batch = query.get('batch');
  if (batch !== null) filter.batch = checkBatch(batch);
  const type = query.get('request_type');
  if (type) filter.type = checkType(type);
  const user = query.get('user');
  if (user) filter.user = user;
  const fromIndex = query.get('from_index');
  if (fromIndex) {
    if (!(await isKnown(db, fromIndex))) refuse(`from_index ${fromIndex} is not a valid index image`);
    filter.fromIndex = fromIndex;
  }
  const prefix = query.get('from_index_startswith');
  if (prefix) {
    if (!(await isKnownPrefix(db, prefix))) refuse(`Can't find any from_index starting with ${prefix}`);
    filter.fromIndexPrefix = prefix;
  }
  const indexImage = query.get('index_image');
  if (indexImage) {
    if (!(await isKnown(db, indexImage))) refuse(`${indexImage} is not a valid index image`);
    filter.indexImage = indexImage;
  }
  return filter;
}

/** Which page is asked for; anything that is no page is 404. */
export function readPage(query: URLSearchParams, { maxPerPage }: Config['api']): Page {
  const page = integer(query.get('page') ?? '1') ?? notFound();
  const perPage = integer(query.get('per_page') ?? '20') ?? notFound();
  if (page < 1 || perPage < 1) notFound();
  return { page, perPage: Math.min(perPage, maxPerPage) };
}

export function readVerbose(query: URLSearchParams): boolean {
  return ['true', '1'].includes((query.get('verbose') ?? '').toLowerCase());
}

/** The `meta` object of a page (rest-api.md §4, D1, D2). */
export function pageMeta(base: string, query: URLSearchParams, { page, perPage }: Page, total: number) {
  const pages = Math.ceil(total / perPage);
  const url = (number: number) => {
    const filters = FILTERS.flatMap((name) => (query.get(name) ? [`${name}=${encode(query.get(name) ?? '')}`] : []));
    const verbose = readVerbose(query) ? ['verbose=true'] : [];
    return `${base}/api/v1/builds?${[`page=${number}`, `per_page=${perPage}`, ...filters, ...verbose].join('&')}`;
  };
  return {
    first: url(1),
    last: url(Math.max(pages, 1)),
    next: page < pages ? url(page + 1) : null,
    previous: page > 1 ? url(page - 1) : null,
    page,
    pages,
    per_page: perPage,
    total,
  };
}

/** Letters, digits and `! $ ' ( ) * , - . / : ; ? @ _ ~` stay, blanks become `+`, the rest is percent-encoded. */
function encode(value: string): string {
  return encodeURIComponent(value).replace(/%(20|24|2C|2F|3A|3B|3F|40)/g, (code) =>
    code === '%20' ? '+' : decodeURIComponent(code),
  );
}

function checkBatch(text: string): number {
  const batch = integer(text);
  if (batch === null || batch < 1) refuse('The batch must be a positive integer');
  return batch;
}

/** `generic` is a type that no request has (rest-api.md §4). */
function checkType(name: string): NonNullable<RequestFilter['type']> {
  const names = ['generic' as const, ...REQUEST_TYPES.map((type) => type.name)];
  const known = names.find((type) => type === name);
  if (known === undefined) {
    refuse(`${name} is not a valid build request type. Valid request_types are: ${names.join(', ')}`);
  }
  return known;
}
