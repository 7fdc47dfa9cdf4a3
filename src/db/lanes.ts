import { and, asc, eq, gt, isNotNull, isNull, lt, sql } from 'drizzle-orm';
import type { Database } from './pool.ts';
import { deliveries, lanes, type RequestTypeName, requests } from './schema.ts';

export interface LaneRow {
  id: number;
  repository: string;
  branch: string;
}

/** A request of which nobody knows yet where its change goes. */
export interface UnresolvedRequest {
  id: number;
  type: RequestTypeName;
  payload: unknown;
  /** Milliseconds since the epoch; null when no worker has begun to find out. */
  resolvingSince: number | null;
}

/** Notes that a worker begins to find out where the request's change goes. The first time counts. */
export async function beginResolving(db: Database, requestId: number): Promise<void> {
  await db
    .update(requests)
    .set({ resolvingSince: sql`now()` })
    .where(and(eq(requests.id, requestId), isNull(requests.resolvingSince)));
}

/**
 * Puts a request into the lane of a branch; the lane is made when there is none. Does nothing for a request that has
 * ended or is in a lane. Runs inside the caller's transaction.
 */
export async function enterLane(
  tx: Database,
  requestId: number,
  { repository, branch }: Pick<LaneRow, 'repository' | 'branch'>,
): Promise<void> {
  // `do nothing` would return no row for a lane that is there.
  const [lane] = await tx
    .insert(lanes)
    .values({ repository, branch })
    .onConflictDoUpdate({ target: [lanes.repository, lanes.branch], set: { branch } })
    .returning({ id: lanes.id });
  await tx
    .update(requests)
    .set({ laneId: lane?.id })
    .where(and(eq(requests.id, requestId), eq(requests.state, 'in_progress'), isNull(requests.deliveryId)));
}

/**
 * Wakes the lanes in which a request waits that was submitted after this one, and the request's own: it may have been
 * what they waited for. Runs inside the transaction that resolved or ended the request.
 */
export async function wakeLanes(tx: Database, requestId: number): Promise<void> {
  const waiting = await tx
    .selectDistinct({ laneId: requests.laneId })
    .from(requests)
    .where(and(isWaiting, isNotNull(requests.laneId), gt(requests.id, requestId - 1)));
  for (const { laneId } of waiting.toSorted((a, b) => (a.laneId ?? 0) - (b.laneId ?? 0))) {
    if (laneId === null) continue;
    await lockLane(tx, laneId);
    await addLaneJob(tx, laneId, null);
  }
}

/**
 * Locks a lane until the transaction ends. Whoever decides that a lane has to wait, and whoever wakes it, holds this
 * lock: else the later time of the one could replace the earlier one of the other.
 */
export async function lockLane(tx: Database, laneId: number): Promise<LaneRow | null> {
  const [lane] = await tx.select().from(lanes).where(eq(lanes.id, laneId)).for('update');
  return lane ?? null;
}

/**
 * Adds the lane's one job, or changes the time of the one that waits. While the job runs, this adds its successor.
 *
 * @param at milliseconds since the epoch; null for now
 */
export async function addLaneJob(tx: Database, laneId: number, at: number | null): Promise<void> {
  const runAt = at === null ? sql`now()` : sql`${new Date(at).toISOString()}::timestamptz`;
  await tx.execute(
    sql`select graphile_worker.add_job('lane', json_build_object('laneId', ${laneId}::int),
      queue_name := ${`lane:${laneId}`}, run_at := ${runAt}, max_attempts := 1000, job_key := ${`lane:${laneId}`})`,
  );
}

const isWaiting = and(eq(requests.state, 'in_progress'), isNull(requests.deliveryId));

/** The lane's delivery that is not over, the oldest if there are several; null when there is none. */
export async function openDeliveryOf(db: Database, laneId: number): Promise<number | null> {
  const [row] = await db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(eq(deliveries.laneId, laneId), isNull(deliveries.endedAt)))
    .orderBy(asc(deliveries.id))
    .limit(1);
  return row?.id ?? null;
}

/** Ids of the lane's first requests that wait for their turn, in the order of submission. */
export async function waitingIn(db: Database, laneId: number, limit: number): Promise<number[]> {
  const rows = await db
    .select({ id: requests.id })
    .from(requests)
    .where(and(isWaiting, eq(requests.laneId, laneId)))
    .orderBy(asc(requests.id))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** Requests submitted before this one of which nobody knows yet where their change goes, in the order of submission. */
export async function unresolvedBefore(db: Database, requestId: number): Promise<UnresolvedRequest[]> {
  const rows = await db
    .select({
      id: requests.id,
      type: requests.type,
      payload: requests.payload,
      since: sql<string | null>`extract(epoch from ${requests.resolvingSince}) * 1000`,
    })
    .from(requests)
    .where(and(isWaiting, isNull(requests.laneId), lt(requests.id, requestId)))
    .orderBy(asc(requests.id));
  return rows.map(({ since, ...row }) => ({ ...row, resolvingSince: since === null ? null : Number(since) }));
}
