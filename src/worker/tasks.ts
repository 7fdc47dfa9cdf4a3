import type { JobHelpers, TaskList } from 'graphile-worker';
import { z } from 'zod';
import { openDelivery, readDelivery, readOpenRequest } from '../db/deliveries.ts';
import { addLaneJob, beginResolving, enterLane, wakeLanes } from '../db/lanes.ts';
import { addState } from '../db/states.ts';
import { asFailure, describe } from '../errors/failure.ts';
import { workOf } from '../requests/works.ts';
import { deliver } from '../spine/delivery.ts';
import { inSecretScope, mask } from '../telemetry/secrets.ts';
import { runLane } from './lane-job.ts';
import type { Rooms } from './rooms.ts';

const Admit = z.object({ requestId: z.number().int() });
const Deliver = z.object({ deliveryId: z.number().int() });
const Lane = z.object({ laneId: z.number().int() });

/** The jobs of this service. Each may be stopped at any instruction and run again. */
export function tasks(rooms: Rooms, lost: AbortSignal): TaskList {
  const signalOf = (helpers: JobHelpers) =>
    helpers.abortSignal === undefined ? lost : AbortSignal.any([lost, helpers.abortSignal]);
  return {
    admit: (payload, helpers) => inSecretScope(() => admit(rooms, Admit.parse(payload).requestId, signalOf(helpers))),
    deliver: (payload, helpers) => deliverAlone(rooms, Deliver.parse(payload).deliveryId, signalOf(helpers)),
    lane: (payload, helpers) => runLane(rooms.lanes, Lane.parse(payload).laneId, signalOf(helpers)),
  };
}

/** Works on a throw-away delivery. A job that an earlier version added for a lane's delivery is left to the lane. */
async function deliverAlone(rooms: Rooms, deliveryId: number, signal: AbortSignal): Promise<void> {
  const { db } = rooms;
  const laneId = (await db.read((queryable) => readDelivery(queryable, deliveryId)))?.laneId ?? null;
  if (laneId === null) return deliver(rooms.delivery, deliveryId, signal);
  await db.transaction((tx) => addLaneJob(tx, laneId, null));
}

/**
 * Finds out where a request's change goes: into a lane when it overwrites an index, else into a delivery of its own. A
 * request that needs no delivery is carried out at once. Lanes that may have waited for the answer are woken.
 */
async function admit(rooms: Rooms, requestId: number, signal: AbortSignal): Promise<void> {
  const { db } = rooms;
  const request = await db.read((queryable) => readOpenRequest(queryable, requestId));
  // It may have ended from outside, or its lane may have missed that it is in it: a job may stop at any instruction.
  if (request === null) return db.transaction((tx) => wakeLanes(tx, requestId));
  const end = (state: 'complete' | 'failed', reason: string) =>
    db.transaction(async (tx) => {
      await addState(tx, requestId, state, reason);
      await wakeLanes(tx, requestId);
    });
  try {
    await db.read((queryable) => beginResolving(queryable, requestId));
    const work = workOf(request.type);
    if (work.needs === 'nothing') {
      const report = async (id: number, reason: string) => {
        await db.transaction((tx) => addState(tx, id, 'in_progress', mask(reason)));
      };
      await end('complete', await rooms.runErrand(request, work, report, signal));
      return;
    }
    const { catalog, branch, overwrite } = await rooms.destinationOf(request, work, signal);
    await db.transaction(async (tx) => {
      if (overwrite) await enterLane(tx, requestId, { repository: catalog.repository, branch });
      else await openDelivery(tx, [requestId], null);
      await wakeLanes(tx, requestId);
    });
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (signal.aborted || failure.code === 'database_unavailable') throw thrown;
    rooms.logFor([requestId]).error({ err: thrown, code: failure.code }, `request refused: ${describe(thrown)}`);
    await end('failed', mask(failure.message));
  }
}
