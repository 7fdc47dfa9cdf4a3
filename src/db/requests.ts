import { eq, type SQL, sql } from 'drizzle-orm';
import { z } from 'zod';
import { Outcome } from './outcome.ts';
import type { Database } from './pool.ts';
import { batches, pullSpecs, type RequestTypeName, requestStates, requests, STATES, type State } from './schema.ts';
import { ANSWER_BYTES, shortened, shortenedReason, shortenedText } from './shortened.ts';

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

/** The request with this id as its answers show it, or null. Ids beyond the database's range are simply not found. */
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
  selectRequests(db, 'verbose', ANSWER_BYTES)
    .where(eq(requests.id, sql.placeholder('id')))
    .prepare('request_by_id');
const prepared = new WeakMap<Database, ReturnType<typeof prepareById>>();

/** The request with this id as `findRequest` gives it, holding the request's row against other writers until the transaction ends. */
export async function lockRequest(tx: Database, id: number): Promise<StoredRequest | null> {
  if (!isStorableId(id)) return null;
  const locked = await tx.select({ id: requests.id }).from(requests).where(eq(requests.id, id)).for('update');
  return locked.length > 0 ? findRequest(tx, id) : null;
}

/** The payload of the request with this id as it is stored, with its type; null when there is no such request. */
export async function findPayload(db: Database, id: number) {
  if (!isStorableId(id)) return null;
  const [row] = await db
    .select({ id: requests.id, type: requests.type, payload: requests.payload })
    .from(requests)
    .where(eq(requests.id, id));
  return row ?? null;
}

/**
 * One query for requests with all they show, whatever their number.
 *
 * @param bytes of stored content that is shown of each; what is longer is cut (shortened.ts)
 */
export function selectRequests(db: Database, form: Form, bytes: number) {
  return db
    .select({
      id: requests.id,
      batchId: requests.batchId,
      // Not for the short form, which may be asked for a thousand members of a batch.
      annotations: (form === 'verbose' ? shortenedText(batches.annotations, bytes / 2) : sql<null>`null::text`).as(
        'annotations',
      ),
      type: requests.type,
      user: requests.user,
      payload: shortened(requests.payload, bytes).as('payload'),
      outcome: shortened(requests.outcome, bytes).as('outcome'),
      state: requests.state,
      stateReason: shortenedReason(requests.stateReason).as('state_reason'),
      updated: instantText(requests.updated).as('updated_text'),
      deliveryId: requests.deliveryId,
      packages: packagesOf(requests.payload).as('packages'),
      history: (form === 'verbose' ? historyOf(bytes) : sql<unknown>`null`).as('history'),
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

/** Pull spec → package of the bundles in a payload, of the first 5000; pull specs are found by their digest. */
export function packagesOf(payload: unknown): SQL<unknown> {
  return sql`(select jsonb_object_agg(${pullSpecs.spec}, left(${pullSpecs.package}, 1024))
    from jsonb_array_elements_text(jsonb_path_query_array(${payload} -> 'bundles', '$[0 to 4999]')) as bundle(spec)
    join ${pullSpecs} on ${pullSpecs.digest} = sha256(convert_to(bundle.spec, 'UTF8'))
    where ${pullSpecs.package} is not null)`;
}

/** The newest states, as many as have `bytes` together; the last one shown stands for all that were left out. */
function historyOf(bytes: number): SQL<unknown> {
  const length = sql`octet_length(entry.reason) + 100`;
  return sql`(select jsonb_agg(jsonb_build_object('state', entry.state, 'stateReason',
      case when entry.sum <= ${sql.raw(`${bytes}`)} then entry.reason
        else format('[cut: %s states]', entry.total - entry.place + 1) end,
      'updated', entry.updated) order by entry.id desc)
    from (select entry.*, sum(${length}) over newest as sum, row_number() over newest as place, count(*) over () as total,
        coalesce(sum(${length}) over (order by entry.id desc rows between unbounded preceding and 1 preceding), 0) as before
      from (select ${requestStates.id} as id, ${requestStates.state} as state,
          ${shortenedReason(requestStates.stateReason)} as reason, ${instantText(requestStates.updated)} as updated
        from ${requestStates} where ${requestStates.requestId} = ${requests.id}) as entry
      window newest as (order by entry.id desc)) as entry
    where entry.before <= ${sql.raw(`${bytes}`)})`;
}

export const isStorableId = (id: number) => Number.isSafeInteger(id) && id > 0 && id <= 2_147_483_647;
