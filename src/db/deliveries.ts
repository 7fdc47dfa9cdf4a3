import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Database } from './pool.ts';
import { deliveries, requests } from './schema.ts';

export interface DeliveryRow {
  id: number;
  /** Null for a throw-away delivery. */
  laneId: number | null;
  state: 'open' | 'undoing' | 'complete' | 'undone';
  /** How often it was undone to be made anew. */
  rebuilds: number;
  plan: unknown;
  failure: unknown;
}

/** One request as its delivery sees it. */
export interface DeliveredRequest {
  id: number;
  type: (typeof requests.type.enumValues)[number];
  user: string | null;
  payload: unknown;
}

const DELIVERED = { id: requests.id, type: requests.type, user: requests.user, payload: requests.payload };

/**
 * Opens a delivery for requests that are in progress and have none. Runs inside the caller's transaction.
 *
 * @param laneId null for a throw-away delivery, which gets a job of its own; the job of a lane works on the others
 * @returns the delivery's id; null when none of the requests needs one any more
 */
export async function openDelivery(
  tx: Database,
  requestIds: readonly number[],
  laneId: number | null,
): Promise<number | null> {
  const open = await tx
    .select({ id: requests.id })
    .from(requests)
    .where(and(inArray(requests.id, [...requestIds]), eq(requests.state, 'in_progress'), isNull(requests.deliveryId)))
    .orderBy(asc(requests.id))
    .for('update');
  if (open.length === 0) return null;
  const [delivery] = await tx.insert(deliveries).values({ laneId }).returning({ id: deliveries.id });
  if (delivery === undefined) return null;
  const ids = open.map(({ id }) => id);
  await tx.update(requests).set({ deliveryId: delivery.id }).where(inArray(requests.id, ids));
  if (laneId === null) {
    await tx.execute(
      sql`select graphile_worker.add_job('deliver', json_build_object('deliveryId', ${delivery.id}::int),
        max_attempts := 1000, job_key := ${`deliver:${delivery.id}`})`,
    );
  }
  return delivery.id;
}

/** The delivery, or null when there is none of that id. */
export async function readDelivery(db: Database, id: number): Promise<DeliveryRow | null> {
  const [row] = await db
    .select({
      id: deliveries.id,
      laneId: deliveries.laneId,
      state: deliveries.state,
      rebuilds: deliveries.rebuilds,
      plan: deliveries.plan,
      failure: deliveries.failure,
    })
    .from(deliveries)
    .where(eq(deliveries.id, id));
  return row ?? null;
}

/** All requests of the delivery, also those that have ended, oldest first. */
export async function requestsOf(db: Database, deliveryId: number): Promise<DeliveredRequest[]> {
  return db.select(DELIVERED).from(requests).where(eq(requests.deliveryId, deliveryId)).orderBy(asc(requests.id));
}

/** The delivery's requests that have not ended, oldest first. */
export async function openRequestsOf(db: Database, deliveryId: number): Promise<DeliveredRequest[]> {
  return db
    .select(DELIVERED)
    .from(requests)
    .where(and(eq(requests.deliveryId, deliveryId), eq(requests.state, 'in_progress')))
    .orderBy(asc(requests.id));
}

/** A request that is in progress and for which nobody has decided where its change goes, or null. */
export async function readOpenRequest(db: Database, id: number): Promise<DeliveredRequest | null> {
  const [row] = await db
    .select(DELIVERED)
    .from(requests)
    .where(
      and(eq(requests.id, id), eq(requests.state, 'in_progress'), isNull(requests.laneId), isNull(requests.deliveryId)),
    );
  return row ?? null;
}

/** Changes the delivery's own row; an end state is stamped with the time. */
export async function updateDelivery(
  tx: Database,
  id: number,
  change: Partial<Pick<DeliveryRow, 'state' | 'rebuilds' | 'plan' | 'failure'> & { undoError: string | null }>,
): Promise<void> {
  const ended = change.state === 'complete' || change.state === 'undone';
  await tx
    .update(deliveries)
    .set({ ...change, ...(ended ? { endedAt: sql`now()` } : {}) })
    .where(eq(deliveries.id, id));
}
