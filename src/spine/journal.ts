import { and, asc, eq, isNull, max, sql } from 'drizzle-orm';
import type { DatabasePool } from '../db/pool.ts';
import { deliverySteps } from '../db/schema.ts';
import { maskValues } from '../telemetry/secrets.ts';
import { type Lease, underLease } from './lease.ts';

export interface Entry {
  seq: number;
  name: string;
  intent: unknown;
  /** Absent while the step has not come to its end, or was stopped before it could say so. */
  outcome: unknown;
}

/** What a delivery set out to do and did, in order; entries that were undone are history and not among `entries`. */
export interface Journal {
  entries: readonly Entry[];
  intend(name: string, intent: unknown): Promise<Entry>;
  finish(entry: Entry, outcome: unknown): Promise<void>;
  note(entry: Entry, notes: Record<string, unknown>): Promise<void>;
  undone(entry: Entry): Promise<void>;
}

/** Opens the journal of the leased delivery; every write is refused once the lease is lost. */
export async function openJournal(db: DatabasePool, lease: Lease): Promise<Journal> {
  const at = (seq: number) => and(eq(deliverySteps.deliveryId, lease.deliveryId), eq(deliverySteps.seq, seq));
  const entries: Entry[] = (
    await db.read((queryable) =>
      queryable
        .select()
        .from(deliverySteps)
        .where(and(eq(deliverySteps.deliveryId, lease.deliveryId), isNull(deliverySteps.undoneAt)))
        .orderBy(asc(deliverySteps.seq)),
    )
  ).map(({ seq, name, intent, outcome }) => ({ seq, name, intent, outcome: outcome ?? undefined }));

  return {
    entries,

    async intend(name, intent) {
      const entry = await underLease(db, lease, async (tx) => {
        const [last] = await tx
          .select({ seq: max(deliverySteps.seq) })
          .from(deliverySteps)
          .where(eq(deliverySteps.deliveryId, lease.deliveryId));
        const seq = (last?.seq ?? 0) + 1;
        await tx.insert(deliverySteps).values({ deliveryId: lease.deliveryId, seq, name, intent });
        return { seq, name, intent, outcome: undefined };
      });
      entries.push(entry);
      return entry;
    },

    async finish(entry, outcome) {
      await underLease(db, lease, (tx) =>
        tx.update(deliverySteps).set({ outcome, endedAt: sql`now()` }).where(at(entry.seq)),
      );
      entry.outcome = outcome;
    },

    async note(entry, notes) {
      await underLease(db, lease, (tx) =>
        tx
          .update(deliverySteps)
          .set({ notes: sql`coalesce(${deliverySteps.notes}, '{}') || ${JSON.stringify(maskValues(notes))}::jsonb` })
          .where(at(entry.seq)),
      );
    },

    async undone(entry) {
      await underLease(db, lease, (tx) => tx.update(deliverySteps).set({ undoneAt: sql`now()` }).where(at(entry.seq)));
      entries.splice(entries.indexOf(entry), 1);
    },
  };
}
