import { z } from 'zod';
import type { AnyWorld, View } from './world.ts';

const Entry = z.object({
  notes: z.looseObject({ pipeline_run: z.string().optional() }).nullable(),
  outcome: z.unknown(),
});

/** A step of the request's journal as it is now; undefined before it is there. */
export async function stepOf(w: AnyWorld, request: Pick<View, 'id'>, name: string) {
  const sql = `select s.notes, s.outcome from delivery_steps s join requests r on r.delivery_id = s.delivery_id
    where r.id = $1 and s.name = $2 order by s.seq desc limit 1`;
  const [entry] = await w.query(sql, Entry, [request.id, name]);
  return entry;
}
