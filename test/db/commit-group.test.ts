import { expect, test } from 'vitest';
import { commitGroup } from '../../src/db/commit-group.ts';

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
  const submit = commitGroup(work, () => false);
  const answers = [1, 2, 3, 4].map(submit);
  expect(groups).toEqual([[1]]);
  finish();
  expect(await answers[0]).toBe(10);
  await expect.poll(() => groups).toEqual([[1], [2, 3, 4]]);
  finish();
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 40]);
});

test('a group that is held up holds up nobody else', async () => {
  const { groups, work, finish } = slowWork();
  const submit = commitGroup(work, () => false);
  const answers = [1, 2].map(submit);
  await expect.poll(() => groups).toEqual([[1], [2]]);
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
  expect(await endsOf(commitGroup(work, () => true))).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  expect(tried).toEqual([[1], [2, 3], [2], [3]]);
  tried.length = 0;
  expect(await endsOf(commitGroup(work, () => false))).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(tried).toEqual([[1], [2, 3]]);
});
