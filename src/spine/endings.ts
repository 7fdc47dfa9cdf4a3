import { z } from 'zod';
import { openRequestsOf, readDelivery, updateDelivery } from '../db/deliveries.ts';
import type { Database, DatabasePool } from '../db/pool.ts';
import { forgetSecrets } from '../db/secrets.ts';
import { addState, recordOutcome } from '../db/states.ts';
import type { Failure } from '../errors/failure.ts';
import { nameOf } from '../registry/pull-spec.ts';
import { mask } from '../telemetry/secrets.ts';
import { openJournal } from './journal.ts';
import { type Lease, underLease } from './lease.ts';
import type { Plan, PlannedRequest } from './plan.ts';
import { publish } from './steps/publish.ts';

/** Why a delivery is undone, as the database keeps it. */
export const StoredFailure = z.object({
  code: z.string(),
  message: z.string(),
  /** The change was made: the message gets the type's prefix. */
  prefixed: z.boolean(),
  /** What comes after the undoing, whoever does it: the end, or another attempt on what somebody else has changed. */
  next: z.enum(['fail', 'again']),
});
export type StoredFailure = z.infer<typeof StoredFailure>;

/** A request that failed on its own while the change was made; the others of its delivery go on. */
export interface Refusal {
  requestId: number;
  failure: Failure;
}

/** From here on the delivery is only undone, whoever goes on with it. The requests say so while it lasts. */
export async function beginUndo(
  db: DatabasePool,
  lease: Lease,
  failure: Failure,
  next: StoredFailure['next'],
): Promise<void> {
  await underLease(db, lease, async (tx) => {
    const { plan, rebuilds } = (await readDelivery(tx, lease.deliveryId)) ?? { plan: null, rebuilds: 0 };
    const message = mask(failure.message);
    const stored: StoredFailure = { code: failure.code, message, prefixed: plan !== null, next };
    // Counted here, in the database: a worker that restarts must not forget the bound.
    const counted = next === 'again' ? { rebuilds: rebuilds + 1 } : {};
    await updateDelivery(tx, lease.deliveryId, { state: 'undoing', failure: stored, ...counted });
    if (plan === null) return;
    const reason =
      next === 'fail'
        ? `Undoing the request's changes after a failure: ${message}`
        : `Starting again on what somebody else has changed: ${message}`;
    for (const { id } of await openRequestsOf(tx, lease.deliveryId)) await addState(tx, id, 'in_progress', reason);
  });
}

/** Everything is undone: the requests fail with the sentence of the failure. */
export async function endFailed(
  db: DatabasePool,
  lease: Lease,
  plan: Plan | null,
  failure: StoredFailure,
): Promise<void> {
  await underLease(db, lease, async (tx) => {
    for (const { id } of await openRequestsOf(tx, lease.deliveryId)) {
      const prefix = failure.prefixed ? (plan?.requests.find((request) => request.id === id)?.failurePrefix ?? '') : '';
      await addState(tx, id, 'failed', `${prefix}${failure.message}`);
    }
    await updateDelivery(tx, lease.deliveryId, { state: 'undone', undoError: null });
  });
}

/** Everything is undone and nothing has failed for good: the change is made anew. */
export async function startOver(db: DatabasePool, lease: Lease): Promise<void> {
  await underLease(db, lease, (tx) =>
    updateDelivery(tx, lease.deliveryId, { state: 'open', plan: null, failure: null, undoError: null }),
  );
}

/** Requests that failed on their own end, inside the caller's transaction; one that has ended already stays as it is. */
export async function endRefused(tx: Database, deliveryId: number, refusals: readonly Refusal[]): Promise<void> {
  const open = new Set((await openRequestsOf(tx, deliveryId)).map(({ id }) => id));
  for (const { requestId, failure } of refusals) {
    if (open.has(requestId)) await addState(tx, requestId, 'failed', mask(failure.message));
    await forgetSecrets(tx, requestId);
  }
}

/**
 * Everything is published: the requests get their images and are complete, in one transaction. One that somebody has
 * ended from outside since the commit point keeps that state and gets its images: there is no way back (H2).
 */
export async function endComplete(db: DatabasePool, lease: Lease, plan: Plan): Promise<void> {
  const journal = await openJournal(db, lease);
  const published = journal.entries.find(({ name }) => name === publish.name);
  const { digest } = publish.outcome.parse(published?.outcome);
  await underLease(db, lease, async (tx) => {
    const open = new Set((await openRequestsOf(tx, lease.deliveryId)).map(({ id }) => id));
    for (const request of plan.requests) {
      await recordOutcome(tx, request.id, imageKeys(request, plan.arches, digest));
      if (open.has(request.id)) await addState(tx, request.id, 'complete', request.done);
    }
    await updateDelivery(tx, lease.deliveryId, { state: 'complete' });
  });
}

/** What this request's type records of the finished image (request-handling.md §7). */
function imageKeys(request: PlannedRequest, arches: string[], digest: string): Record<string, unknown> {
  const image = request.overwrites?.tag ?? request.publicOutput;
  const finished = {
    arches,
    image,
    image_resolved: `${nameOf(image)}@${digest}`,
    copy: request.output,
    copy_resolved: `${nameOf(request.output)}@${digest}`,
  };
  return Object.fromEntries(Object.entries(request.records).map(([key, what]) => [key, finished[what]]));
}
