import { and, count, desc, eq, inArray, type SQL, sql } from 'drizzle-orm';
import { Outcome } from './outcome.ts';
import type { Database } from './pool.ts';
import { startsWith } from './pull-specs.ts';
import { batches, type RequestTypeName, requestStates, requests, type State } from './schema.ts';
import { addState, INITIATED } from './states.ts';

/** A request as stored; its payload is parsed by its type. */
export interface StoredRequest {
  id: number;
  batchId: number;
  /** JSON text of the batch's annotations; null when there are none. */
  annotations: string | null;
  type: RequestTypeName;
  user: string | null;
  payload: unknown;
  outcome: Outcome;
  state: State;
  stateReason: string;
  /** UTC in the form of rest-api.md §0. */
  updated: string;
}

export interface StateEntry {
  state: State;
  stateReason: string;
  updated: string;
}

export interface NewRequest {
  batchId: number;
  type: RequestTypeName;
  user: string | null;
  payload: unknown;
  fromIndex: string | null;
}

/** Filters of lists; what is absent does not filter (rest-api.md §4). */
export interface RequestFilter {
  state?: State;
  batch?: number;
  type?: RequestTypeName | 'generic';
  user?: string;
  fromIndex?: string;
  fromIndexPrefix?: string;
  indexImage?: string;
}

/** Six digits of fraction, or none when they are all zero (rest-api.md §0). */
const instantText = (column: unknown) =>
  sql<string>`replace(to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')`;

const COLUMNS = {
  id: requests.id,
  batchId: requests.batchId,
  annotations: batches.annotations,
  type: requests.type,
  user: requests.user,
  payload: requests.payload,
  outcome: requests.outcome,
  state: requests.state,
  stateReason: requests.stateReason,
  updated: instantText(requests.updated),
};

/** Creates a batch. @param annotations JSON text; null when the client gave none @returns its id */
export async function insertBatch(tx: Database, annotations: string | null): Promise<number> {
  const [row] = await tx.insert(batches).values({ annotations }).returning({ id: batches.id });
  return row!.id;
}

/** Stores a request with its first state and the job that will admit it to the worker. @returns its id */
export async function insertRequest(tx: Database, request: NewRequest): Promise<number> {
  const [row] = await tx.insert(requests).values(request).returning({ id: requests.id });
  const id = row!.id;
  await addState(tx, id, 'in_progress', INITIATED);
  await tx.execute(sql`select graphile_worker.add_job('admit', json_build_object('requestId', ${id}::int),
    max_attempts := 1000, job_key := 'admit:' || ${id}::int)`);
  return id;
}

/** The request with this id, or null. Ids beyond the database's range are simply not found. */
export async function findRequest(db: Database, id: number): Promise<StoredRequest | null> {
  if (!isStorableId(id)) return null;
  const [row] = await select(db).where(eq(requests.id, id));
  return row ? parse(row) : null;
}

/** The requests with these ids, by id. */
export async function findRequests(db: Database, ids: readonly number[]): Promise<StoredRequest[]> {
  const rows = await select(db)
    .where(inArray(requests.id, [...ids]))
    .orderBy(requests.id);
  return rows.map(parse);
}

/** The request with this id as `findRequest` gives it, holding the request's row against other writers until the transaction ends. */
export async function lockRequest(tx: Database, id: number): Promise<StoredRequest | null> {
  if (!isStorableId(id)) return null;
  const locked = await tx.select({ id: requests.id }).from(requests).where(eq(requests.id, id)).for('update');
  return locked.length > 0 ? findRequest(tx, id) : null;
}

/** A page of requests, newest first, and how many match in all. @param offset requests to skip */
export async function listRequests(
  db: Database,
  filter: RequestFilter,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ items: StoredRequest[]; total: number }> {
  const where = and(...conditions(filter));
  const [counted] = await db.select({ total: count() }).from(requests).where(where);
  const total = counted?.total ?? 0;
  if (offset >= total) return { items: [], total };
  const rows = await select(db).where(where).orderBy(desc(requests.id)).limit(limit).offset(offset);
  return { items: rows.map(parse), total };
}

/** The histories of requests, newest entry first. */
export async function historiesOf(db: Database, ids: readonly number[]): Promise<Map<number, StateEntry[]>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select({
      requestId: requestStates.requestId,
      state: requestStates.state,
      stateReason: requestStates.stateReason,
      updated: instantText(requestStates.updated),
    })
    .from(requestStates)
    .where(inArray(requestStates.requestId, [...ids]))
    .orderBy(desc(requestStates.id));
  return Map.groupBy(rows, (row) => row.requestId);
}

function select(db: Database) {
  return db.select(COLUMNS).from(requests).innerJoin(batches, eq(batches.id, requests.batchId)).$dynamic();
}

type Row = Awaited<ReturnType<typeof select>>[number];

function parse(row: Row): StoredRequest {
  return { ...row, outcome: Outcome.parse(row.outcome) };
}

function conditions(filter: RequestFilter): SQL[] {
  const { state, batch, type, user, fromIndex, fromIndexPrefix, indexImage } = filter;
  const found: (SQL | undefined)[] = [
    state && eq(requests.state, state),
    batch === undefined ? undefined : isStorableId(batch) ? eq(requests.batchId, batch) : sql`false`,
    type && (type === 'generic' ? sql`false` : eq(requests.type, type)),
    user === undefined ? undefined : sameText(requests.user, user),
    fromIndex === undefined ? undefined : sameText(requests.fromIndex, fromIndex),
    fromIndexPrefix === undefined ? undefined : startsWith(requests.fromIndex, fromIndexPrefix),
    indexImage === undefined ? undefined : sameText(requests.indexImage, indexImage),
  ];
  return found.filter((condition) => condition !== undefined);
}

/** Equality by way of the md5 index; no text with NUL is stored, and Postgres refuses to compare with one (D38). */
function sameText(column: unknown, value: string): SQL {
  return value.includes('\0') ? sql`false` : sql`(md5(${column}) = md5(${value}) and ${column} = ${value})`;
}

const isStorableId = (id: number) => Number.isSafeInteger(id) && id > 0 && id <= 2_147_483_647;
