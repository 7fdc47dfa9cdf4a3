import { expect, test } from 'vitest';
import { readHostile } from './hostile.ts';
import { HOSTILE } from './hostile-cases.ts';

/** MiB. */
const MOST_MEMORY = 512;

test(`${HOSTILE.length} hostile registries, read side by side by one process`, { timeout: 300_000 }, async () => {
  const { outcomes, messages, peak } = await readHostile(HOSTILE);
  const wrong = HOSTILE.flatMap(({ name, outcomes: expected }, at) =>
    expected.includes(outcomes[at] ?? '') ? [] : [{ name, expected, outcome: outcomes[at], message: messages[at] }],
  );
  expect(wrong).toEqual([]);
  expect(peak).toBeLessThan(MOST_MEMORY);
});
