import { eq, sql } from 'drizzle-orm';
import type { Database, DatabasePool } from '../db/pool.ts';
import { deliveries } from '../db/schema.ts';
import { Failure } from '../errors/failure.ts';

/**
 * The right to work on one delivery. Whoever takes it later holds a higher epoch, and the journal refuses writes
 * with a lower one: a worker that was thought dead and comes back can do no more harm.
 */
export interface Lease {
  readonly deliveryId: number;
  readonly epoch: number;
}

/** Takes the delivery over from whoever worked on it before. */
export async function takeLease(db: DatabasePool, deliveryId: number): Promise<Lease> {
  const [row] = await db.read((queryable) =>
    queryable
      .update(deliveries)
      .set({ epoch: sql`${deliveries.epoch} + 1` })
      .where(eq(deliveries.id, deliveryId))
      .returning({ epoch: deliveries.epoch }),
  );
  if (row === undefined) throw new Failure('unexpected', `Delivery ${deliveryId} does not exist`);
  return { deliveryId, epoch: row.epoch };
}

/** @throws Failure `lease_lost` when somebody else has taken the delivery over */
export async function assertLeaseHeld(db: DatabasePool, lease: Lease): Promise<void> {
  const [row] = await db.read((queryable) =>
    queryable.select({ epoch: deliveries.epoch }).from(deliveries).where(eq(deliveries.id, lease.deliveryId)),
  );
  if (row?.epoch !== lease.epoch) throw lost(lease);
}

/**
 * Runs `work` in a transaction that holds only while the lease does.
 *
 * @throws Failure `lease_lost` when somebody else has taken the delivery over
 */
export async function underLease<T>(db: DatabasePool, lease: Lease, work: (tx: Database) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .select({ epoch: deliveries.epoch })
      .from(deliveries)
      .where(eq(deliveries.id, lease.deliveryId))
      .for('update');
    if (row?.epoch !== lease.epoch) throw lost(lease);
    return work(tx);
  });
}

function lost({ deliveryId }: Lease): Failure {
  return new Failure('lease_lost', `Another worker has taken delivery ${deliveryId} over`);
}
