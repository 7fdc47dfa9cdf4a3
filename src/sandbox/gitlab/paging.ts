import { z } from 'zod';
import type { Call } from './call.ts';
import { integer, parse } from './params.ts';
import { ok, type Reply } from './reply.ts';

const Paging = z.object({
  page: integer.default(1),
  per_page: integer.default(20),
  pagination: z.string().optional(),
  page_token: z.string().optional(),
  cursor: z.string().optional(),
});

/** Above this many items GitLab leaves the totals out. */
const COUNTED = 10_000;

/**
 * One page of a list: `pagination=keyset` gives a `Link` to the next page by `page_token`, everything else the offset
 * headers `X-Total` … and `Link`s first/prev/next/last (konflux-and-gitlab.md §4.3, §6.1 point 2).
 *
 * @param token names an item for keyset pages: the next page begins after it
 */
export function page<T>(call: Call, items: T[], view: (item: T) => unknown, token?: (item: T) => string): Reply {
  const wanted = parse(Paging, call.params);
  const size = Math.min(Math.max(wanted.per_page, 1), 100);
  return wanted.pagination === 'keyset' && token !== undefined
    ? keyset(call, items, view, token, size, wanted.page_token ?? wanted.cursor)
    : offset(call, items, view, Math.max(wanted.page, 1), size);
}

function keyset<T>(
  call: Call,
  items: T[],
  view: (item: T) => unknown,
  token: (item: T) => string,
  size: number,
  after: string | undefined,
): Reply {
  const start = after === undefined ? 0 : items.findIndex((item) => token(item) === after) + 1;
  const shown = items.slice(start, start + size);
  const last = shown.at(-1);
  const more = start + size < items.length && last !== undefined;
  const headers: Record<string, string> = { 'X-Per-Page': String(size) };
  if (more) headers.Link = `<${address(call, { page_token: token(last) })}>; rel="next"`;
  return ok(shown.map(view), headers);
}

function offset<T>(call: Call, items: T[], view: (item: T) => unknown, number: number, size: number): Reply {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const shown = items.slice((number - 1) * size, number * size);
  const next = number < pages ? String(number + 1) : '';
  const prev = number > 1 ? String(number - 1) : '';
  const counted = items.length <= COUNTED;
  const at = (target: string | number) => address(call, { page: String(target), per_page: String(size) });
  const links = [
    ...(prev ? [`<${at(prev)}>; rel="prev"`] : []),
    ...(next ? [`<${at(next)}>; rel="next"`] : []),
    `<${at(1)}>; rel="first"`,
    ...(counted ? [`<${at(pages)}>; rel="last"`] : []),
  ];
  return ok(shown.map(view), {
    Link: links.join(', '),
    'X-Page': String(number),
    'X-Per-Page': String(size),
    'X-Next-Page': next,
    'X-Prev-Page': prev,
    ...(counted ? { 'X-Total': String(items.length), 'X-Total-Pages': String(pages) } : {}),
  });
}

/** The call's own address with some query values changed. */
function address(call: Call, changes: Record<string, string>): string {
  const query = new URLSearchParams(call.query);
  query.delete('private_token');
  query.delete('access_token');
  for (const [key, value] of Object.entries(changes)) query.set(key, value);
  const path = (call.request.url ?? '').split('?')[0];
  return `${call.world.url}${path}?${query}`;
}
