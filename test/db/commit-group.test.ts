import { expect, test } from 'vitest';
import { commitGroup } from '../../src/db/commit-group.ts';

const weigh = () => 1;

/** Work that is done when told, and what it was given. */
function slowWork() {
  const groups: number[][] = [];
  const begun: (() => void)[] = [];
  const work = (items: readonly number[]) => {
    groups.push([...items]);
    return new Promise<number[]>((resolve) => begun.push(() => resolve(items.map((item) => item * 10))));
  };
  return { groups, work, finish: () => begun.shift()?.() };
}

test('what comes while others are under way goes together next, each with its own answer', async () => {
  const { groups, work, finish } = slowWork();
  const submit = commitGroup({ work, weigh, isEach: () => false });
  const answers = [1, 2, 3, 4].map(submit);
  expect(groups).toEqual([[1]]);
  finish();
  expect(await answers[0]).toBe(10);
  await expect.poll(() => groups, { timeout: 30_000 }).toEqual([[1], [2, 3, 4]]);
  finish();
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 40]);
});

test('no group is heavier than the largest, but for one item', async () => {
  const { groups, work, finish } = slowWork();
  const submit = commitGroup({ work, weigh: (item) => item * 100_000, isEach: () => false });
  const answers = [1, 5, 5, 1, 30, 2].map(submit);
  // Each goes past the one before, which is held up.
  await expect.poll(() => groups, { timeout: 30_000 }).toEqual([[1], [5, 5], [1], [30], [2]]);
  for (const _ of groups) finish();
  expect(await Promise.all(answers)).toEqual([10, 50, 50, 10, 300, 20]);
});

test('a group that is held up holds up nobody else', async () => {
  const { groups, work, finish } = slowWork();
  const submit = commitGroup({ work, weigh, isEach: () => false });
  const answers = [1, 2].map(submit);
  await expect.poll(() => groups, { timeout: 30_000 }).toEqual([[1], [2]]);
  finish();
  finish();
  expect(await Promise.all(answers)).toEqual([10, 20]);
});

test('the failure of one is not that of the others, unless nobody knows what became of them', async () => {
  const tried: number[][] = [];
  const work = async (items: readonly number[]) => {
    tried.push([...items]);
    await Promise.resolve();
    if (items.includes(3)) throw new Error('refused');
    return items;
  };
  const endsOf = (submit: (item: number) => Promise<number>) =>
    Promise.allSettled([1, 2, 3].map(submit)).then((ends) => ends.map(({ status }) => status));
  expect(await endsOf(commitGroup({ work, weigh, isEach: () => true }))).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
  ]);
  expect(tried).toEqual([[1], [2, 3], [2], [3]]);
  tried.length = 0;
  expect(await endsOf(commitGroup({ work, weigh, isEach: () => false }))).toEqual([
    'fulfilled',
    'rejected',
    'rejected',
  ]);
  expect(tried).toEqual([[1], [2, 3]]);
});
