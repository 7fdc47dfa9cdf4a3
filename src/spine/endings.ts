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
import { Plan, type PlannedRequest } from './plan.ts';
import { publish } from './steps/publish.ts';

/** Why a delivery is undone, as the database keeps it; with the type's prefix once the change was made. */
export const StoredFailure = z.object({ code: z.string(), message: z.string(), prefixed: z.boolean() });
export type StoredFailure = z.infer<typeof StoredFailure>;

/** A request that failed on its own while the change was made; the others of its delivery go on. */
export interface Refusal {
  requestId: number;
  failure: Failure;
}

/** From here on the delivery is only undone, whoever goes on with it. The requests say so while it lasts. */
export async function beginUndo(db: DatabasePool, lease: Lease, failure: Failure): Promise<void> {
  await underLease(db, lease, async (tx) => {
    const { plan } = (await readDelivery(tx, lease.deliveryId)) ?? { plan: null };
    const stored: StoredFailure = { code: failure.code, message: mask(failure.message), prefixed: plan !== null };
    await updateDelivery(tx, lease.deliveryId, { state: 'undoing', failure: stored });
    if (plan === null) return;
    for (const { id } of Plan.parse(plan).requests) {
      await addState(tx, id, 'in_progress', `Undoing the request's changes after a failure: ${stored.message}`);
    }
  });
}

/** Everything is undone: the requests fail with the sentence of the failure. */
export async function endFailed(db: DatabasePool, lease: Lease, plan: Plan | null, stored: unknown): Promise<void> {
  const failure = StoredFailure.parse(stored);
  await underLease(db, lease, async (tx) => {
    for (const { id } of await openRequestsOf(tx, lease.deliveryId)) {
      const prefix = failure.prefixed ? (plan?.requests.find((request) => request.id === id)?.failurePrefix ?? '') : '';
      await addState(tx, id, 'failed', `${prefix}${failure.message}`);
      await forgetSecrets(tx, id);
    }
    await updateDelivery(tx, lease.deliveryId, { state: 'undone', undoError: null });
  });
}

/** Requests that failed on their own end, inside the caller's transaction. */
export async function endRefused(tx: Database, refusals: readonly Refusal[]): Promise<void> {
  for (const { requestId, failure } of refusals) {
    await addState(tx, requestId, 'failed', mask(failure.message));
    await forgetSecrets(tx, requestId);
  }
}

/** Everything is published: the requests get their images and are complete, in one transaction. */
export async function endComplete(db: DatabasePool, lease: Lease, plan: Plan): Promise<void> {
  const journal = await openJournal(db, lease);
  const published = journal.entries.find(({ name }) => name === publish.name);
  const { digest } = publish.outcome.parse(published?.outcome);
  await underLease(db, lease, async (tx) => {
    for (const request of plan.requests) {
      await recordOutcome(tx, request.id, imageKeys(request, plan.arches, digest));
      await addState(tx, request.id, 'complete', request.done);
      await forgetSecrets(tx, request.id);
    }
    await updateDelivery(tx, lease.deliveryId, { state: 'complete' });
  });
}

/** The keys of request-handling.md §7 that this request's type records. */
function imageKeys(request: PlannedRequest, arches: string[], digest: string): Record<string, unknown> {
  const image = request.overwrites?.tag ?? request.publicOutput;
  const all = {
    arches,
    index_image: image,
    index_image_resolved: `${nameOf(image)}@${digest}`,
    internal_index_image_copy: request.output,
    internal_index_image_copy_resolved: `${nameOf(request.output)}@${digest}`,
  };
  return Object.fromEntries(request.records.map((key) => [key, all[key]]));
}
