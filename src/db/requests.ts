import { eq, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { Outcome } from './outcome.ts';
import type { Database } from './pool.ts';
import { batches, pullSpecs, type RequestTypeName, requestStates, requests, STATES, type State } from './schema.ts';

/** A request as stored, with everything its answers show; its payload is parsed by its type. */
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
  deliveryId: number | null;
  /** Operator packages of its bundles, where known (rest-api.md §3.4). */
  packages: ReadonlyMap<string, string>;
  /** Newest first; empty where only the short form was asked for. */
  history: readonly StateEntry[];
}

const StateEntry = z.object({ state: z.enum(STATES), stateReason: z.string(), updated: z.string() });
export type StateEntry = z.infer<typeof StateEntry>;

export const Packages = z.record(z.string(), z.string()).nullable();
const History = z.array(StateEntry).nullable();

/** Which form of requests is read: histories are for the verbose one alone. */
export type Form = 'short' | 'verbose';

/** Six digits of fraction, or none when they are all zero (rest-api.md §0). */
export const instantText = (column: unknown) =>
  sql<string>`replace(to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')`;

/** The request with this id, or null. Ids beyond the database's range are simply not found. */
export async function findRequest(db: Database, id: number): Promise<StoredRequest | null> {
  if (!isStorableId(id)) return null;
  let byId = prepared.get(db);
  if (byId === undefined) {
    byId = prepareById(db);
    prepared.set(db, byId);
  }
  const [row] = await byId.execute({ id });
  return row ? parseRequest(row) : null;
}

/** Written once and planned once per connection: that was half of what reading a request cost. */
const prepareById = (db: Database) =>
  selectRequests(db, 'verbose')
    .where(eq(requests.id, sql.placeholder('id')))
    .prepare('request_by_id');
const prepared = new WeakMap<Database, ReturnType<typeof prepareById>>();

/** The request with this id as `findRequest` gives it, holding the request's row against other writers until the transaction ends. */
export async function lockRequest(tx: Database, id: number): Promise<StoredRequest | null> {
  if (!isStorableId(id)) return null;
  const locked = await tx.select({ id: requests.id }).from(requests).where(eq(requests.id, id)).for('update');
  return locked.length > 0 ? findRequest(tx, id) : null;
}

/** One query for requests with all they show, whatever their number. */
export function selectRequests(db: Database, form: Form) {
  return db
    .select({
      id: requests.id,
      batchId: requests.batchId,
      annotations: batches.annotations,
      type: requests.type,
      user: requests.user,
      payload: requests.payload,
      outcome: requests.outcome,
      state: requests.state,
      stateReason: requests.stateReason,
      updated: instantText(requests.updated).as('updated_text'),
      deliveryId: requests.deliveryId,
      packages: packagesOf(requests.payload).as('packages'),
      history: (form === 'verbose' ? historyOf() : sql<unknown>`null`).as('history'),
      // For the order of lists alone.
      submittedAt: requests.submitted,
      modifiedAt: requests.updated,
      completedAt: requests.completed,
    })
    .from(requests)
    .innerJoin(batches, eq(batches.id, requests.batchId))
    .$dynamic();
}

export type RequestRow = Awaited<ReturnType<typeof selectRequests>>[number];

export function parseRequest(row: RequestRow): StoredRequest {
  const { submittedAt: _s, modifiedAt: _m, completedAt: _c, ...shown } = row;
  return {
    ...shown,
    outcome: Outcome.parse(row.outcome),
    packages: new Map(Object.entries(Packages.parse(row.packages) ?? {})),
    history: History.parse(row.history) ?? [],
  };
}

/** Pull spec → package of the bundles in a payload; pull specs are found by their digest. */
export function packagesOf(payload: unknown): SQL<unknown> {
  return sql`(select jsonb_object_agg(${pullSpecs.spec}, ${pullSpecs.package})
    from jsonb_array_elements_text(${payload} -> 'bundles') as bundle(spec)
    join ${pullSpecs} on ${pullSpecs.digest} = sha256(convert_to(bundle.spec, 'UTF8'))
    where ${pullSpecs.package} is not null)`;
}

function historyOf(): SQL<unknown> {
  return sql`(select jsonb_agg(jsonb_build_object('state', ${requestStates.state}, 'stateReason',
      ${requestStates.stateReason}, 'updated', ${instantText(requestStates.updated)}) order by ${requestStates.id} desc)
    from ${requestStates} where ${requestStates.requestId} = ${requests.id})`;
}

export const isStorableId = (id: number) => Number.isSafeInteger(id) && id > 0 && id <= 2_147_483_647;
