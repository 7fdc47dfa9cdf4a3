import { and, asc, eq, inArray, sql } from 'drizzle-orm';
import { z } from 'zod';
import { Outcome } from './outcome.ts';
import type { Database } from './pool.ts';
import { instantText, parseRequest, type StoredRequest, selectRequests } from './requests.ts';
import { batches, outbox, type RequestTypeName, requestStates, requests, STATES, type State } from './schema.ts';
import { ANSWER_BYTES } from './shortened.ts';

/** What waits to be told to the world. */
export type Announcement = {
  /** Of its row in the outbox. */
  id: number;
  batchId: number;
  /** Base of URLs, without slash at the end; null when nobody has ever named one. */
  baseUrl: string | null;
} & (
  | { kind: 'build' /** As it was when it came to this state. */; request: StoredRequest; ends: boolean }
  | { kind: 'batch' }
);

/** A batch with the requests in it, by id. */
export interface StoredBatch {
  id: number;
  /** JSON text; null when there are none. */
  annotations: string | null;
  user: string | null;
  /** The state of the batch (rest-api.md §5). */
  state: State;
  requests: { id: number; type: RequestTypeName; payload: unknown }[];
}

/** The oldest announcements, `limit` at most, in their order. */
export async function oldestAnnouncements(db: Database, limit: number): Promise<Announcement[]> {
  const rows = await db
    .select({
      id: outbox.id,
      kind: outbox.kind,
      requestId: outbox.requestId,
      batchId: outbox.batchId,
      baseUrl: sql<string | null>`coalesce(${outbox.baseUrl}, ${batches.baseUrl})`,
      ends: outbox.ends,
      outcome: outbox.outcome,
      state: requestStates.state,
      stateReason: requestStates.stateReason,
      updated: sql<string | null>`${instantText(requestStates.updated)}`,
    })
    .from(outbox)
    .innerJoin(batches, eq(batches.id, outbox.batchId))
    .leftJoin(requestStates, eq(requestStates.id, outbox.stateId))
    .orderBy(asc(outbox.id))
    .limit(limit);
  const ids = rows.flatMap(({ requestId }) => requestId ?? []);
  const current =
    ids.length === 0 ? [] : await selectRequests(db, 'short', ANSWER_BYTES).where(inArray(requests.id, ids));
  const byId = new Map(current.map((row) => [row.id, parseRequest(row)]));
  return rows.map(({ kind, requestId, outcome, state, stateReason, updated, ends, ...place }) => {
    const request = byId.get(requestId ?? 0);
    if (kind === 'batch' || request === undefined) return { ...place, kind: 'batch' };
    const then = Then.parse({ outcome, state, stateReason, updated });
    return { ...place, kind: 'build', request: { ...request, ...then }, ends };
  });
}

const Then = z.object({ outcome: Outcome, state: z.enum(STATES), stateReason: z.string(), updated: z.string() });

/** Removes an announcement that everybody has who should. */
export async function dropAnnouncement(db: Database, id: number): Promise<void> {
  await db.delete(outbox).where(eq(outbox.id, id));
}

/** Removes all announcements: nobody is to be told anything. @returns how many there were */
export async function dropAllAnnouncements(db: Database): Promise<number> {
  const { rowCount } = await db.delete(outbox);
  return rowCount ?? 0;
}

/** Writes down why an announcement could not be made, for people who look. */
export async function noteAttempt(db: Database, id: number, error: string): Promise<void> {
  await db
    .update(outbox)
    .set({ attempts: sql`${outbox.attempts} + 1`, lastError: error })
    .where(eq(outbox.id, id));
}

/** The batch as it is now. */
export async function readBatch(db: Database, id: number): Promise<StoredBatch> {
  const members = await db
    .select({
      id: requests.id,
      type: requests.type,
      payload: requests.payload,
      user: requests.user,
      state: requests.state,
      annotations: batches.annotations,
    })
    .from(requests)
    .innerJoin(batches, eq(batches.id, requests.batchId))
    .where(eq(requests.batchId, id))
    .orderBy(asc(requests.id));
  const states = members.map(({ state }) => state);
  return {
    id,
    annotations: members[0]?.annotations ?? null,
    user: members[0]?.user ?? null,
    state: states.find((state) => state === 'in_progress') ?? states.find((state) => state === 'failed') ?? 'complete',
    requests: members.map(({ id, type, payload }) => ({ id, type, payload })),
  };
}

/**
 * Whether the end of another request of the batch is still to be announced. Two requests may end side by side, and
 * neither transaction sees the other's end; but announcements are made one by one, and the last of them sees both.
 */
export async function moreEndsToCome(
  db: Database,
  batchId: number,
  { id }: Pick<Announcement, 'id'>,
): Promise<boolean> {
  const rows = await db
    .select({ one: sql`1` })
    .from(outbox)
    .innerJoin(requests, eq(requests.id, outbox.requestId))
    .where(and(eq(requests.batchId, batchId), outbox.ends, sql`${outbox.id} <> ${id}`))
    .limit(1);
  return rows.length > 0;
}
