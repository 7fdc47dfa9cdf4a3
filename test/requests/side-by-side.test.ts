import { expect, test } from 'vitest';
import { sideBySide } from '../../src/requests/side-by-side.ts';

const items = Array.from({ length: 300 }, (_, at) => at);
const turn = () => new Promise((next) => setImmediate(next));

test('many are under way at once, not all; results keep the order', async () => {
  let underWay = 0;
  let most = 0;
  const results = await sideBySide(items, async (item) => {
    underWay += 1;
    most = Math.max(most, underWay);
    for (let turns = item % 3; turns >= 0; turns -= 1) await turn();
    underWay -= 1;
    return item * 2;
  });
  expect(results).toEqual(items.map((item) => item * 2));
  expect(most).toBe(64);
});

test('the first failure ends it: what has not begun does not begin', async () => {
  let begun = 0;
  const reading = sideBySide(items, async (item) => {
    begun += 1;
    await turn();
    if (item === 3) throw new Error('gone');
  });
  await expect(reading).rejects.toThrow('gone');
  for (let turns = 0; turns < 10; turns += 1) await turn();
  expect(begun).toBeLessThan(150);
});
