import { z } from 'zod';

/** A queue, or queues by pull spec of the index with a fallback `all`. */
const Queue = z.union([z.string(), z.record(z.string(), z.string()).and(z.object({ all: z.string().min(1) }))]);

/** Principal, `SERIAL:principal` or `PARALLEL:principal` → queue [IIB_USER_TO_QUEUE]. */
export const UserToQueue = z.record(z.string(), Queue);
export type UserToQueue = z.infer<typeof UserToQueue>;

/** What Greenwave is asked for the bundles of a queue; null = the default queue [IIB_GREENWAVE_CONFIG]. */
export const Gate = z.strictObject({
  queue: z.string().nullable(),
  decisionContext: z.string(),
  productVersion: z.string(),
  subjectType: z.literal('koji_build'),
});
export type Gate = z.infer<typeof Gate>;

/**
 * The queue a request belongs to, null for the default one (rest-api.md §8). Nothing waits in these queues any more;
 * they still decide about gating.
 */
export function queueOf(
  queues: UserToQueue,
  { user, overwrites, index }: { user: string | null; overwrites: boolean; index: string | null },
): string | null {
  if (user === null) return null;
  const entry = queues[`${overwrites ? 'SERIAL' : 'PARALLEL'}:${user}`] || queues[user];
  if (entry === undefined || typeof entry === 'string') return entry || null;
  return (index !== null && entry[index]) || entry.all;
}

/** Queues that gates name and no user has: each is a mistake that would let bundles through (rest-api.md §10). */
export function unknownQueues(queues: UserToQueue, gates: readonly Gate[]): string[] {
  const known = new Set(
    Object.values(queues).flatMap((entry) => (typeof entry === 'string' ? entry : Object.values(entry))),
  );
  return gates.flatMap(({ queue }) => (queue === null || known.has(queue) ? [] : queue));
}
