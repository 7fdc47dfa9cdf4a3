import { type DeliveredRequest, openRequestsOf, readDelivery, requestsOf, updateDelivery } from '../db/deliveries.ts';
import type { DatabasePool } from '../db/pool.ts';
import { addState } from '../db/states.ts';
import { asFailure, describe, Failure } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { inSecretScope, mask } from '../telemetry/secrets.ts';
import { beginUndo, endComplete, endFailed, endRefused, type Refusal, StoredFailure, startOver } from './endings.ts';
import { fenced } from './fence.ts';
import { openJournal } from './journal.ts';
import { assertLeaseHeld, type Lease, takeLease, underLease } from './lease.ts';
import { Plan } from './plan.ts';
import { routeOf, selfContainedAfter } from './route.ts';
import { runSaga, type SagaTimes, type SagaWorld, undoSaga } from './saga.ts';

/** How often a delivery is built again because somebody else changed what it was built on. */
const REBUILDS = 3;

/** The change, made and committed on this machine; nothing outside has been touched. */
export interface Prepared {
  /** Null when every request was refused. */
  plan: Plan | null;
  refusals: Refusal[];
  pushBranch: SagaWorld['pushBranch'];
  pushOntoTarget: SagaWorld['pushOntoTarget'];
  pushArtifact: SagaWorld['pushArtifact'];
  dispose(): Promise<void>;
}

/** Adds an `in_progress` state with this reason; the same reason twice in a row is shown once. */
export type Report = (requestId: number, reason: string) => Promise<void>;

/** What steps need of the outside, with the credentials of the delivery's requests. */
export type Outside = Pick<SagaWorld, 'deadlines' | 'forge' | 'cluster' | 'registry' | 'copy'>;

/** What the worker lends to the spine; the spine knows no request type. */
export interface DeliveryPorts {
  db: DatabasePool;
  /** The service's log; what concerns these requests is in their own logs, too. */
  logFor(requestIds: number[]): Log;
  times: SagaTimes;
  /** Makes the change of every request, in order, in one workspace. */
  prepare(requests: DeliveredRequest[], report: Report, log: Log, signal: AbortSignal): Promise<Prepared>;
  open(plan: Plan, requests: DeliveredRequest[], signal: AbortSignal): Promise<Outside>;
}

/** One job's work on one delivery. */
interface Work {
  ports: DeliveryPorts;
  lease: Lease;
  log: Log;
  signal: AbortSignal;
}

/**
 * Works on a delivery until its requests are complete, or failed with everything undone. Goes on from the journal
 * when it was begun before.
 *
 * @throws Failure `lease_lost` or `database_unavailable`, or the signal's reason: the job must run again, here or elsewhere
 */
export async function deliver(ports: DeliveryPorts, deliveryId: number, signal: AbortSignal): Promise<void> {
  return inSecretScope(() => deliverInScope(ports, deliveryId, signal));
}

async function deliverInScope(ports: DeliveryPorts, deliveryId: number, signal: AbortSignal): Promise<void> {
  const { db } = ports;
  const lease = await takeLease(db, deliveryId);
  const requests = await db.read((queryable) => requestsOf(queryable, deliveryId));
  const log = ports.logFor(requests.map(({ id }) => id)).child({ delivery: deliveryId });
  const work: Work = { ports, lease, log, signal };

  for (;;) {
    const delivery = await db.read((queryable) => readDelivery(queryable, deliveryId));
    if (delivery === null || delivery.state === 'complete' || delivery.state === 'undone') return;
    const plan = delivery.plan === null ? null : Plan.parse(delivery.plan);
    if (delivery.state === 'undoing') {
      const failure = StoredFailure.parse(delivery.failure);
      if (plan !== null) await undo(work, plan);
      if (failure.next === 'fail') return endFailed(db, lease, plan, failure);
      await startOver(db, lease);
      continue;
    }
    try {
      await attempt(work, plan);
      return;
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (signal.aborted || failure.code === 'lease_lost' || failure.code === 'database_unavailable') throw thrown;
      log.error({ err: thrown, code: failure.code }, `delivery failed: ${describe(thrown)}`);
      const again = failure.verdict === 'conflict' && delivery.rebuilds < REBUILDS;
      await beginUndo(db, lease, failure, again ? 'again' : 'fail');
    }
  }
}

async function attempt(work: Work, known: Plan | null): Promise<void> {
  const { db } = work.ports;
  const journal = await openJournal(db, work.lease);
  const propose = journal.entries.find(({ name }) => name === selfContainedAfter);
  if (known !== null && propose?.outcome !== undefined) return run(work, known, null);
  // The commits were on the machine of the job before: nothing of ours is left that could be gone on with.
  if (known !== null) {
    await undo(work, known);
    await startOver(db, work.lease);
  }

  const { log, signal, lease } = work;
  const requests = await db.read((queryable) => openRequestsOf(queryable, lease.deliveryId));
  const prepared = await work.ports.prepare(requests, (id, reason) => report(work, id, reason), log, signal);
  try {
    const { plan, refusals } = prepared;
    await underLease(db, lease, async (tx) => {
      await endRefused(tx, lease.deliveryId, refusals);
      await updateDelivery(tx, lease.deliveryId, plan === null ? { state: 'undone' } : { plan });
    });
    if (plan !== null) await run(work, plan, prepared);
  } finally {
    await prepared.dispose();
  }
}

async function run(work: Work, plan: Plan, prepared: Prepared | null): Promise<void> {
  const { ports, lease } = work;
  const route = routeOf(plan);
  const journal = await openJournal(ports.db, lease);
  const committed = () =>
    journal.entries.some(({ name, outcome }) => name === route.commitPoint && outcome !== undefined);
  const world: SagaWorld = {
    ...(await worldOf(work, plan)),
    report: async (reason) => {
      for (const { id } of plan.requests) {
        await report(work, id, reason).catch((thrown: unknown) => {
          // Somebody has ended the request from outside: before the commit point it is undone, after it goes on (H2).
          if (!committed() || asFailure(thrown).code !== 'request_finished') throw thrown;
        });
      }
    },
    ...(prepared === null ? {} : fenced(carriedOutBy(prepared), () => assertLeaseHeld(ports.db, lease))),
  };
  await runSaga(route, world, journal, ports.times);
  await endComplete(ports.db, lease, plan);
}

async function undo(work: Work, plan: Plan): Promise<void> {
  const { ports, lease } = work;
  const journal = await openJournal(ports.db, lease);
  if (journal.entries.length === 0) return;
  const onStuck = (message: string | null) =>
    underLease(ports.db, lease, (tx) =>
      updateDelivery(tx, lease.deliveryId, { undoError: message === null ? null : mask(message) }),
    );
  const world = await worldOf(work, plan).catch(async (thrown: unknown) => {
    await onStuck(asFailure(thrown).message);
    throw thrown;
  });
  await undoSaga(routeOf(plan), world, journal, ports.times, onStuck);
}

async function worldOf({ ports, lease, log, signal }: Work, plan: Plan): Promise<SagaWorld> {
  // All of them: undoing may need the token of a request that somebody has ended meanwhile.
  const requests = await ports.db.read((queryable) => requestsOf(queryable, lease.deliveryId));
  const assertHeld = () => assertLeaseHeld(ports.db, lease);
  const { deadlines, forge, cluster, registry, copy } = await ports.open(plan, requests, signal);
  return {
    deadlines,
    forge: fenced(forge, assertHeld),
    cluster: fenced(cluster, assertHeld),
    registry: fenced(registry, assertHeld),
    ...fenced({ copy }, assertHeld),
    plan,
    signal,
    log,
    report: async () => {},
    pushBranch: () => notHere('the prepared commits'),
    pushOntoTarget: () => notHere('the prepared commits'),
    pushArtifact: () => notHere('the prepared index.db'),
  };
}

const carriedOutBy = ({ pushBranch, pushOntoTarget, pushArtifact }: Prepared) => ({
  pushBranch,
  pushOntoTarget,
  pushArtifact,
});

function notHere(what: string): never {
  throw new Failure('unexpected', `A step asks for ${what}, but the change was made by another job`);
}

async function report({ ports, lease, log }: Work, requestId: number, reason: string): Promise<void> {
  log.info({ request: requestId }, reason);
  await underLease(ports.db, lease, (tx) => addState(tx, requestId, 'in_progress', mask(reason)));
}
