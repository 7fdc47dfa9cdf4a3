/** What a lane does next: deliver requests, look again at a time (milliseconds since the epoch), or nothing. */
export type LaneTurn =
  | { does: 'deliver'; requestIds: number[] }
  | { does: 'wait'; until: number }
  | { does: 'nothing' };

/** A request submitted earlier that may turn out to belong to the lane. */
export interface Candidate {
  id: number;
  /** Milliseconds since the epoch at which a worker began to resolve it; null when none has. */
  resolvingSince: number | null;
}

/**
 * Decides the next turn of a lane. Requests are taken in the order of submission: the first one waits for older requests
 * that may belong to the lane and are not resolved yet. A request that cannot be resolved for a while (its registry is
 * away) loses its place, so that it does not hold the others up for its whole patience.
 *
 * @param from.waiting ids of the lane's requests, ascending
 * @param from.candidates unresolved requests that may belong to the lane
 * @param from.now milliseconds since the epoch, as `resolvingSince`
 * @param from.resolveWait milliseconds for which an unresolved request keeps its place
 */
export function laneTurn(from: {
  waiting: readonly number[];
  candidates: readonly Candidate[];
  now: number;
  resolveWait: number;
}): LaneTurn {
  const [first] = from.waiting;
  if (first === undefined) return { does: 'nothing' };
  const { now, resolveWait } = from;
  const places = from.candidates
    .filter(({ id }) => id < first)
    // A worker that is busy has not begun yet: that is no fault of the request.
    .map(({ resolvingSince }) => (resolvingSince ?? now) + resolveWait)
    .filter((keptUntil) => keptUntil > now);
  if (places.length > 0) return { does: 'wait', until: Math.max(...places) };
  return { does: 'deliver', requestIds: [first] };
}
