import type { Config } from '../config/schema.ts';
import { type Order, type RequestFilter, TIMES } from '../db/list.ts';
import type { Database } from '../db/pool.ts';
import { isKnown, isKnownPrefix } from '../db/pull-specs.ts';
import { REQUEST_TYPES } from '../requests/all.ts';
import { refuse } from '../requests/checks.ts';
import { checkStateName } from '../requests/patch.ts';

const CUTS = TIMES.flatMap((time) => [`${time}_before` as const, `${time}_after` as const]);

/** The filters that page links repeat: IIB's in their order (rest-api.md §4), then ours. */
const FILTERS = [
  'state',
  'batch',
  'request_type',
  'user',
  'from_index',
  'from_index_startswith',
  'index_image',
  'fbc_fragment',
  ...CUTS,
  'order_by',
];

export interface Page {
  page: number;
  /** Requests on a page. */
  limit: number;
  offset: number;
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

/** The filters of a list, checked in the order of rest-api.md §4 but for `checkKnown`. Fails `request_invalid`. */
export function readFilter(query: URLSearchParams): RequestFilter {
  const filter: RequestFilter = {};
  const state = query.get('state');
  if (state) filter.state = checkStateName(state);
  const batch = query.get('batch');
  if (batch !== null) filter.batch = checkBatch(batch);
  const type = query.get('request_type');
  if (type) filter.type = checkType(type);
  const texts = {
    user: query.get('user'),
    fromIndex: query.get('from_index'),
    fromIndexPrefix: query.get('from_index_startswith'),
    indexImage: query.get('index_image'),
    fbcFragment: query.get('fbc_fragment'),
  };
  for (const [name, text] of entries(texts)) if (text) filter[name] = text;
  for (const cut of CUTS) {
    const text = query.get(cut);
    if (text) filter.times = { ...filter.times, [cut]: checkInstant(cut, text) };
  }
  return filter;
}

/** Pull specs in filters must have been seen by the service in any role. Fails `request_invalid`. */
export async function checkKnown(db: Database, filter: RequestFilter): Promise<void> {
  const { fromIndex, fromIndexPrefix, indexImage } = filter;
  if (fromIndex !== undefined && !(await isKnown(db, fromIndex))) {
    refuse(`from_index ${fromIndex} is not a valid index image`);
  }
  if (fromIndexPrefix !== undefined && !(await isKnownPrefix(db, fromIndexPrefix))) {
    refuse(`Can't find any from_index starting with ${fromIndexPrefix}`);
  }
  if (indexImage !== undefined && !(await isKnown(db, indexImage))) {
    refuse(`${indexImage} is not a valid index image`);
  }
}

/** The order of a list: `order_by=submitted`, or `-submitted` for the newest first. Fails `request_invalid`. */
export function readOrder(query: URLSearchParams): Order {
  const text = query.get('order_by') || '-id';
  const by = (['id', ...TIMES] as const).find((name) => name === text.replace(/^-/, ''));
  if (by === undefined) {
    refuse(`order_by must be one of id, ${TIMES.join(', ')}, with a - before it for descending order`);
  }
  return { by, direction: text.startsWith('-') ? 'descending' : 'ascending' };
}

/** Which page is asked for; null for what is no page. */
export function readPage(query: URLSearchParams, { maxPerPage }: Config['api']): Page | null {
  const page = integer(query.get('page') ?? '1') ?? 0;
  const perPage = integer(query.get('per_page') ?? '20') ?? 0;
  if (page < 1 || perPage < 1) return null;
  const limit = Math.min(perPage, maxPerPage);
  const offset = (page - 1) * limit;
  // Beyond what Postgres can count there is no page either (D6).
  return Number.isSafeInteger(offset) ? { page, limit, offset } : null;
}

/** An ISO 8601 date, or date and time, in UTC unless it says otherwise; with microseconds as it has them. */
function checkInstant(name: string, text: string): string {
  // A + that was not percent-encoded arrives as a blank.
  const [, date, time = '00:00:00', fraction = '', zone = 'Z'] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(\.\d{1,6})?(Z|[+ -]\d{2}:?\d{2})?)?$/i.exec(text) ?? [];
  const offset = zone
    .replace(' ', '+')
    .replace(/(\d{2}):?(\d{2})$/, '$1:$2')
    .toUpperCase();
  const whole = new Date(`${date}T${time}${offset}`);
  // JavaScript takes the 30th of February for the 2nd of March.
  const exists = new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(`${date}T`) ?? false;
  const valid =
    exists && !Number.isNaN(whole.getTime()) && whole.getUTCFullYear() > 0 && whole.getUTCFullYear() < 10_000;
  if (!valid) refuse(`${name} must be an ISO 8601 date, with or without a time`);
  return `${whole.toISOString().slice(0, 19)}${fraction}Z`;
}

function entries<T extends object>(given: T): [keyof T, T[keyof T]][] {
  return Object.entries(given) as [keyof T, T[keyof T]][];
}

export function readVerbose(query: URLSearchParams): boolean {
  return ['true', '1'].includes((query.get('verbose') ?? '').toLowerCase());
}

/** The `meta` object of a page (rest-api.md §4, D1, D2). */
export function pageMeta(base: string, query: URLSearchParams, { page, limit }: Page, total: number) {
  const pages = Math.ceil(total / limit);
  const url = (number: number) => {
    const filters = FILTERS.flatMap((name) => (query.get(name) ? [`${name}=${encode(query.get(name) ?? '')}`] : []));
    const verbose = readVerbose(query) ? ['verbose=true'] : [];
    return `${base}/api/v1/builds?${[`page=${number}`, `per_page=${limit}`, ...filters, ...verbose].join('&')}`;
  };
  return {
    first: url(1),
    last: url(Math.max(pages, 1)),
    next: page < pages ? url(page + 1) : null,
    previous: page > 1 ? url(page - 1) : null,
    page,
    pages,
    per_page: limit,
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
