import { asc, eq, inArray, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from './pool.ts';
import { instantText } from './requests.ts';
import { deliveries, deliverySteps, requestStates, requests } from './schema.ts';

/** What of a step's notes is for everybody; whatever else the worker notes stays inside. */
const StepNotes = z
  .object({
    merge_request: z.string(),
    commit: z.string(),
    pipeline_run: z.string(),
    merged: z.string(),
    progress: z.string(),
  })
  .partial()
  .catch({});
export type StepNotes = z.infer<typeof StepNotes>;

/** One step of a delivery as its journal has it; times in the form of rest-api.md §0. */
export interface JournalStep {
  seq: number;
  name: string;
  started: string;
  ended: string | null;
  undone: string | null;
  notes: StepNotes;
}

/** The steps of a delivery in the order in which they were begun. */
export async function stepsOf(db: Database, deliveryId: number): Promise<JournalStep[]> {
  const rows = await db
    .select({
      seq: deliverySteps.seq,
      name: deliverySteps.name,
      started: instantText(deliverySteps.startedAt),
      ended: sql<string | null>`${instantText(deliverySteps.endedAt)}`,
      undone: sql<string | null>`${instantText(deliverySteps.undoneAt)}`,
      notes: deliverySteps.notes,
    })
    .from(deliverySteps)
    .where(eq(deliverySteps.deliveryId, deliveryId))
    .orderBy(asc(deliverySteps.seq));
  return rows.map((row) => ({ ...row, notes: StepNotes.parse(row.notes ?? {}) }));
}

/** The delivery itself; null when there is none of that id. */
export async function deliveryNamed(db: Database, id: number) {
  const [row] = await db
    .select({
      id: deliveries.id,
      state: deliveries.state,
      undoError: deliveries.undoError,
      endedAt: deliveries.endedAt,
    })
    .from(deliveries)
    .where(eq(deliveries.id, id));
  return row ?? null;
}

/** For each request a text that is another one whenever its history, its delivery or a step of that has changed. */
export async function versionsOf(db: Database, ids: readonly number[]): Promise<Map<number, string>> {
  const rows = await db
    .select({
      id: requests.id,
      version: sql<string>`concat_ws(' ',
        (select max(${requestStates.id}) from ${requestStates} where ${requestStates.requestId} = ${requests.id}),
        ${deliveries.id}, ${deliveries.endedAt},
        (select concat_ws(' ', count(*), count(${deliverySteps.endedAt}), count(${deliverySteps.undoneAt}))
          from ${deliverySteps} where ${deliverySteps.deliveryId} = ${deliveries.id}))`,
    })
    .from(requests)
    .leftJoin(deliveries, eq(deliveries.id, requests.deliveryId))
    .where(inArray(requests.id, [...ids]));
  return new Map(rows.map(({ id, version }) => [id, version]));
}

const StateRow = z.object({ id: z.coerce.number(), state: z.string(), reason: z.string(), updated: z.string() });
export type StateRow = z.infer<typeof StateRow>;

/** The states of a request after the one with the id `after`, oldest first. */
export async function statesAfter(db: Database, requestId: number, after: number): Promise<StateRow[]> {
  const rows = await db
    .select({
      id: requestStates.id,
      state: requestStates.state,
      reason: requestStates.stateReason,
      updated: instantText(requestStates.updated),
    })
    .from(requestStates)
    .where(sql`${requestStates.requestId} = ${requestId} and ${requestStates.id} > ${after}`)
    .orderBy(asc(requestStates.id));
  return rows.map((row) => StateRow.parse(row));
}
