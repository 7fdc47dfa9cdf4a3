import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const RequestView = z.looseObject({
  id: z.number(),
  state: z.string(),
  state_reason: z.string(),
  internal_index_image_copy_resolved: z.string().nullish(),
  state_history: z.array(z.object({ state: z.string(), state_reason: z.string(), updated: z.string() })).optional(),
});
export type RequestView = z.infer<typeof RequestView>;

const LOOK_AGAIN = 150;

/**
 * Shows the states of a request as they come, each with the seconds since the one before, until it ends.
 *
 * @param say told one line per state
 */
export async function followRequest(apiUrl: string, id: number, say: (line: string) => void): Promise<RequestView> {
  let shown = 0;
  let before: number | undefined;
  for (;;) {
    const answer = await fetch(`${apiUrl}/api/v1/builds/${id}`);
    const view = RequestView.parse(await answer.json());
    const history = [...(view.state_history ?? [])].reverse();
    for (const { state, state_reason: reason, updated } of history.slice(shown)) {
      const at = Date.parse(updated);
      const took = before === undefined ? 0 : (at - before) / 1000;
      say(`  ${state.padEnd(11)} +${took.toFixed(2)} s  ${reason}`);
      before = at;
    }
    shown = history.length;
    if (view.state !== 'in_progress') return view;
    await sleep(LOOK_AGAIN);
  }
}
