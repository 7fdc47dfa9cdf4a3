import { type AnyColumn, and, asc, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from './pool.ts';
import { startsWith } from './pull-specs.ts';
import {
  type Form,
  isStorableId,
  parseRequest,
  type RequestRow,
  type StoredRequest,
  selectRequests,
} from './requests.ts';
import { type RequestTypeName, requests, type State } from './schema.ts';
import { shareOf } from './shortened.ts';
import type { Basis, Totals } from './totals.ts';

/** The times of a request by which lists can be cut and ordered. */
export const TIMES = ['submitted', 'modified', 'completed'] as const;
export type Time = (typeof TIMES)[number];

/** Filters of lists; what is absent does not filter (rest-api.md §4). */
export interface RequestFilter {
  state?: State;
  batch?: number;
  type?: RequestTypeName | 'generic';
  user?: string;
  fromIndex?: string;
  fromIndexPrefix?: string;
  indexImage?: string;
  /** Among the fragments that were submitted. */
  fbcFragment?: string;
  /** ISO 8601 in UTC; `after` is included, `before` is not. */
  times?: Partial<Record<`${Time}_${'before' | 'after'}`, string>>;
}

export interface Order {
  by: Time | 'id';
  direction: 'ascending' | 'descending';
}

export interface Slice {
  limit: number;
  /** Requests to skip. */
  offset: number;
  order: Order;
  form: Form;
}

const COLUMNS = {
  id: requests.id,
  submitted: requests.submitted,
  modified: requests.updated,
  completed: requests.completed,
} as const;
const Counted = z.object({ recent: z.coerce.number(), settled: z.coerce.number(), horizon: z.string() });

/**
 * A page of requests and how many match in all, in one query. Ordered by `completed`, requests that are in progress
 * come as if they were to end last.
 */
export async function listRequests(
  db: Database,
  filter: RequestFilter,
  { limit, offset, order, form }: Slice,
  totals: Totals,
): Promise<{ items: StoredRequest[]; total: number }> {
  const where = and(...conditions(filter)) ?? sql`true`;
  const counting = totals.begin(basisOf(filter), filter);
  // Chosen by id first: what is shown of a request would be read for those that are skipped, too.
  const chosen = db
    .select({ id: requests.id })
    .from(requests)
    .where(where)
    .orderBy(...ordering(order, COLUMNS))
    .limit(limit)
    .offset(offset)
    .as('chosen');
  const page = selectRequests(db, form, shareOf(limit)).innerJoin(chosen, eq(chosen.id, requests.id)).as('page');
  const counted = db
    .select({
      recent: sql`count(*)`.as('recent'),
      settled: counting.settled.as('settled'),
      horizon: sql<string>`pg_snapshot_xmin(pg_current_snapshot())::text`.as('horizon'),
    })
    .from(requests)
    .where(and(where, counting.recent))
    .as('counted');
  // The count has one row always; the page hangs on it, if there is one.
  const rows = await db
    .select()
    .from(counted)
    .leftJoin(page, sql`true`)
    .orderBy(
      ...ordering(order, {
        id: page.id,
        submitted: page.submittedAt,
        modified: page.modifiedAt,
        completed: page.completedAt,
      }),
    );
  const total = counting.end(Counted.parse(rows[0]?.counted));
  const items = rows.flatMap(({ page: row }) => (row?.id == null ? [] : [parseRequest(row as RequestRow)]));
  return { items, total };
}

/** What of a request decides once and for all that it matches; null where that may change. */
function basisOf({ state, indexImage, times = {} }: RequestFilter): Basis | null {
  if (state === 'in_progress' || indexImage !== undefined) return null;
  if (times.modified_before !== undefined || times.modified_after !== undefined) return null;
  const ended = state !== undefined || times.completed_before !== undefined || times.completed_after !== undefined;
  return ended ? 'end' : 'submission';
}

function ordering({ by, direction }: Order, columns: Record<Time | 'id', AnyColumn>): SQL[] {
  const turned = direction === 'ascending' ? asc : desc;
  return by === 'id' ? [turned(columns.id)] : [turned(columns[by]), turned(columns.id)];
}

function conditions(filter: RequestFilter): (SQL | undefined)[] {
  const { state, batch, type, user, fromIndex, fromIndexPrefix, indexImage, fbcFragment, times = {} } = filter;
  return [
    state && eq(requests.state, state),
    batch === undefined ? undefined : isStorableId(batch) ? eq(requests.batchId, batch) : sql`false`,
    type && (type === 'generic' ? sql`false` : eq(requests.type, type)),
    user === undefined ? undefined : sameText(requests.user, user),
    fromIndex === undefined ? undefined : sameText(requests.fromIndex, fromIndex),
    fromIndexPrefix === undefined ? undefined : startsWith(requests.fromIndex, fromIndexPrefix),
    indexImage === undefined ? undefined : sameText(requests.indexImage, indexImage),
    fbcFragment === undefined ? undefined : hasFragment(fbcFragment),
    ...TIMES.flatMap((time) => {
      const { [`${time}_before` as const]: before, [`${time}_after` as const]: after } = times;
      return [before && lt(COLUMNS[time], before), after && gte(COLUMNS[time], after)].map((cut) => cut || undefined);
    }),
  ];
}

/** Equality by way of the md5 index; no text with NUL is stored, and Postgres refuses to compare with one (D38). */
function sameText(column: unknown, value: string): SQL {
  return value.includes('\0') ? sql`false` : sql`(md5(${column}) = md5(${value}) and ${column} = ${value})`;
}

function hasFragment(fragment: string): SQL {
  if (fragment.includes('\0')) return sql`false`;
  // The planner believes that every thousandth request has it and walks all of them: found first, it took 2 ms and not 1.7 s.
  return sql`${requests.id} = any(array(select id from ${requests} as fbc where fbc.type = 'fbc-operations'
    and fbc.payload -> 'fbc_fragments' @> ${JSON.stringify([fragment])}::jsonb))`;
}
