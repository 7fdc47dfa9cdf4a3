import { createHash } from 'node:crypto';
import type { JobHelpers, TaskList } from 'graphile-worker';
import { z } from 'zod';
import { openDelivery, readOpenRequest } from '../db/deliveries.ts';
import { forgetSecrets } from '../db/secrets.ts';
import { addState } from '../db/states.ts';
import { asFailure, describe } from '../errors/failure.ts';
import { workOf } from '../requests/works.ts';
import { deliver } from '../spine/delivery.ts';
import { mask } from '../telemetry/secrets.ts';
import type { Rooms } from './rooms.ts';

const Admit = z.object({ requestId: z.number().int() });
const Deliver = z.object({ deliveryId: z.number().int() });

/** The jobs of this service. Each may be stopped at any instruction and run again. */
export function tasks(rooms: Rooms, lost: AbortSignal): TaskList {
  const signalOf = (helpers: JobHelpers) =>
    helpers.abortSignal === undefined ? lost : AbortSignal.any([lost, helpers.abortSignal]);
  return {
    admit: (payload, helpers) => admit(rooms, Admit.parse(payload).requestId, signalOf(helpers)),
    deliver: (payload, helpers) => deliver(rooms.delivery, Deliver.parse(payload).deliveryId, signalOf(helpers)),
  };
}

/** graphile-worker takes no longer names for its queues. */
const LONGEST_LANE = 128;

function laneOf(repository: string, branch: string): string {
  const name = `${repository} ${branch}`;
  return name.length <= LONGEST_LANE ? name : createHash('sha256').update(name).digest('hex');
}

/**
 * Finds out where a request's change goes and gives it its delivery, in a lane when it overwrites. A request that needs
 * none is carried out at once.
 */
async function admit(rooms: Rooms, requestId: number, signal: AbortSignal): Promise<void> {
  const { db } = rooms;
  const request = await db.read((queryable) => readOpenRequest(queryable, requestId));
  if (request === null) return;
  const end = (state: 'complete' | 'failed', reason: string) =>
    db.transaction(async (tx) => {
      await addState(tx, requestId, state, reason);
      await forgetSecrets(tx, requestId);
    });
  try {
    const work = workOf(request.type);
    if (work.needs === 'nothing') {
      const report = async (id: number, reason: string) => {
        await db.transaction((tx) => addState(tx, id, 'in_progress', reason));
      };
      await end('complete', await rooms.runErrand(request, work, report, signal));
      return;
    }
    const { catalog, branch, overwrite } = await rooms.destinationOf(request, work, signal);
    const lane = overwrite ? laneOf(catalog.repository, branch) : null;
    await db.transaction((tx) => openDelivery(tx, requestId, lane));
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (signal.aborted || failure.code === 'database_unavailable') throw thrown;
    rooms.logFor([requestId]).error({ err: thrown, code: failure.code }, `request refused: ${describe(thrown)}`);
    await end('failed', mask(failure.message));
  }
}
