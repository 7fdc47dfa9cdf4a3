import pLimit from 'p-limit';

/** Reads under way at once: an index has thousands of bundles, and a registry's answer is mostly waiting. */
const IN_FLIGHT = 64;

/** Reads something for each item, many at once; results in the order of the items. The first failure ends it. */
export async function sideBySide<Item, Result>(
  items: readonly Item[],
  read: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const limit = pLimit(IN_FLIGHT);
  try {
    return await limit.map(items, read);
  } finally {
    limit.clearQueue();
  }
}
