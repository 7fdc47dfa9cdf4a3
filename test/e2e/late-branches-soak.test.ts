import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { SOAK } from '../support/soak.ts';
import { type World, world } from './support/world.ts';

/** Adds, and of how many one overwrites the index; the others are built side by side. */
const ADDS = 200;
const OVERWRITES = 20;
/** Milliseconds. A push waits up to a minute to be known by GitLab's API. */
const PUSH_DELAY = { from: 0, to: 60_000, seed: 20_261_201 };
const LIMIT = 45 * 60_000;

describe.skipIf(!SOAK)('pushes that GitLab knows only after up to a minute', () => {
  let w: World;
  beforeAll(async () => {
    w = await world({
      workers: 1,
      gitlab: { pushDelay: PUSH_DELAY },
      deadlines: { runAppears: 300_000, merge: 600_000 },
      settings: () => ({ worker: { concurrency: 60 } }),
    });
  }, 120_000);
  afterAll(() => w?.close());

  test(`${ADDS} adds all complete, each with one merge request, and leave no branch`, { timeout: LIMIT }, async () => {
    const { newest } = w.sandbox.seeded;
    const before = await w.photograph();
    for (let at = 0; at < ADDS; at += 1) {
      const overwrite = at % (ADDS / OVERWRITES) === 0;
      const bundle = at % 2 === 0 ? newest.lighthouse : newest['harbor-pilot'];
      const apart = { overwrite_from_index: false, overwrite_from_index_token: null };
      await w.add({ bundles: [bundle], ...(overwrite ? {} : apart) });
    }
    const Count = z.object({ state: z.string(), count: z.coerce.number() });
    const states = async () =>
      Object.fromEntries(
        (await w.query('select state, count(*) from requests group by state', Count)).map((row) => [
          row.state,
          row.count,
        ]),
      );
    await expect.poll(async () => (await states()).in_progress ?? 0, { timeout: LIMIT, interval: 2000 }).toBe(0);
    const Failed = z.object({ state_reason: z.string() });
    expect(await w.query("select state_reason from requests where state = 'failed'", Failed)).toEqual([]);
    expect(await states()).toEqual({ complete: ADDS });
    await w.sandbox.parts.gitlab.now.settled();
    const after = await w.photograph();
    expect(Object.keys(after.branches)).toEqual(Object.keys(before.branches));
    expect(after.openMergeRequests).toEqual([]);
  });
});
