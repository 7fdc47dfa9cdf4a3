import { openDelivery } from '../db/deliveries.ts';
import {
  addLaneJob,
  type LaneRow,
  lockLane,
  openDeliveryOf,
  type UnresolvedRequest,
  unresolvedBefore,
  waitingIn,
} from '../db/lanes.ts';
import type { DatabasePool } from '../db/pool.ts';
import { laneTurn } from '../spine/lane-turn.ts';

export interface LanePorts {
  db: DatabasePool;
  /** Milliseconds for which a request that is not resolved keeps its place. */
  resolveWait: number;
  /** Those of the requests that, by the configuration, may turn out to belong to the lane. */
  candidatesOf(lane: LaneRow, unresolved: readonly UnresolvedRequest[]): readonly UnresolvedRequest[];
  /** Works on a delivery until it is over. */
  deliver(deliveryId: number, signal: AbortSignal): Promise<void>;
}

/**
 * The one job of a lane: finishes a delivery that was begun, then takes the lane's next requests and delivers them, and
 * goes on while there are any. Ends when it has to wait for older requests; the lane is woken when they are resolved.
 *
 * @throws what `deliver` throws when the job must run again
 */
export async function runLane(ports: LanePorts, laneId: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const deliveryId = await nextDelivery(ports, laneId);
    if (deliveryId === null) return;
    await ports.deliver(deliveryId, signal);
  }
}

/** The delivery to work on, opened if need be; null when the lane has nothing to do now. */
async function nextDelivery(ports: LanePorts, laneId: number): Promise<number | null> {
  return ports.db.transaction(async (tx) => {
    const lane = await lockLane(tx, laneId);
    if (lane === null) return null;
    const begun = await openDeliveryOf(tx, laneId);
    if (begun !== null) return begun;
    const waiting = await waitingIn(tx, laneId, 1);
    const [first] = waiting;
    const unresolved = first === undefined ? [] : await unresolvedBefore(tx, first);
    const turn = laneTurn({
      waiting,
      candidates: ports.candidatesOf(lane, unresolved),
      now: Date.now(),
      resolveWait: ports.resolveWait,
    });
    if (turn.does === 'deliver') return openDelivery(tx, turn.requestIds, laneId);
    if (turn.does === 'wait') await addLaneJob(tx, laneId, turn.until);
    return null;
  });
}
