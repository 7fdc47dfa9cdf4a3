import { and, asc, eq, gt, isNull, ne, sql } from 'drizzle-orm';
import type { Database } from './pool.ts';
import { deliveries, requests } from './schema.ts';

export interface DeliveryRow {
  id: number;
  lane: string | null;
  state: 'open' | 'undoing' | 'complete' | 'undone';
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
 * Gives an admitted request its delivery and the job that works on it, in the lane if it has one. Does nothing for a
 * request that has a delivery already. Runs inside the caller's transaction.
 */
export async function openDelivery(tx: Database, requestId: number, lane: string | null): Promise<void> {
  const [request] = await tx
    .select({ deliveryId: requests.deliveryId, state: requests.state })
    .from(requests)
    .where(eq(requests.id, requestId))
    .for('update');
  if (request === undefined || request.deliveryId !== null || request.state !== 'in_progress') return;
  const [delivery] = await tx.insert(deliveries).values({ lane }).returning({ id: deliveries.id });
  if (delivery === undefined) return;
  await tx.update(requests).set({ lane, deliveryId: delivery.id }).where(eq(requests.id, requestId));
  await tx.execute(
    sql`select graphile_worker.add_job('deliver', json_build_object('deliveryId', ${delivery.id}::int),
      queue_name := ${lane}, max_attempts := 1000, job_key := ${`deliver:${delivery.id}`})`,
  );
}

/** The delivery, or null when there is none of that id. */
export async function readDelivery(db: Database, id: number): Promise<DeliveryRow | null> {
  const [row] = await db
    .select({
      id: deliveries.id,
      lane: deliveries.lane,
      state: deliveries.state,
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

/** Other deliveries of the same lane that somebody has begun to work on and that are not over: one at most. */
export async function begunInLaneOf(db: Database, deliveryId: number): Promise<number[]> {
  const lane = db.select({ lane: deliveries.lane }).from(deliveries).where(eq(deliveries.id, deliveryId));
  const begun = await db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(
      and(
        eq(deliveries.lane, sql`(${lane})`),
        isNull(deliveries.endedAt),
        gt(deliveries.epoch, 0),
        ne(deliveries.id, deliveryId),
      ),
    )
    .orderBy(asc(deliveries.id));
  return begun.map(({ id }) => id);
}

/** A request that is still in progress, or null. */
export async function readOpenRequest(db: Database, id: number): Promise<DeliveredRequest | null> {
  const [row] = await db
    .select(DELIVERED)
    .from(requests)
    .where(and(eq(requests.id, id), eq(requests.state, 'in_progress'), isNull(requests.deliveryId)));
  return row ?? null;
}

/** Changes the delivery's own row; an end state is stamped with the time. */
export async function updateDelivery(
  tx: Database,
  id: number,
  change: Partial<{ state: DeliveryRow['state']; plan: unknown; failure: unknown; undoError: string | null }>,
): Promise<void> {
  const ended = change.state === 'complete' || change.state === 'undone';
  await tx
    .update(deliveries)
    .set({ ...change, ...(ended ? { endedAt: sql`now()` } : {}) })
    .where(eq(deliveries.id, id));
}
