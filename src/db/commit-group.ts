import { setTimeout as sleep } from 'node:timers/promises';

interface Waiting<I, O> {
  item: I;
  resolve: (answer: O) => void;
  reject: (thrown: unknown) => void;
}

/** Characters of a group, but for one item that has more alone. */
const LARGEST = 1_000_000;
/** Milliseconds after which the next group goes past one that is held up. */
const HELD_UP = 100;

interface GroupWork<I, O> {
  /** Answers for each item, in their order. */
  work(items: readonly I[]): Promise<readonly O[]>;
  /** Characters of an item. */
  weigh(item: I): number;
  /** Whether a failure may be that of one item alone: then each item of the group is tried again by itself. */
  isEach(thrown: unknown): boolean;
}

/**
 * Lets calls share a piece of work: those that come while it is under way for others wait, and go together next. A call
 * that comes alone waits for nobody.
 */
export function commitGroup<I, O>({ work, weigh, isEach }: GroupWork<I, O>): (item: I) => Promise<O> {
  const waiting: Waiting<I, O>[] = [];
  let running = false;
  const carry = async (group: readonly Waiting<I, O>[]): Promise<void> => {
    try {
      const answers = await work(group.map(({ item }) => item));
      for (const [at, { resolve }] of group.entries()) resolve(answers[at]!);
    } catch (thrown) {
      if (group.length > 1 && isEach(thrown)) for (const one of group) await carry([one]);
      else for (const { reject } of group) reject(thrown);
    }
  };
  const nextGroup = (): Waiting<I, O>[] => {
    let weight = 0;
    const tooMany = waiting.findIndex(({ item }, at) => {
      weight += weigh(item);
      return at > 0 && weight > LARGEST;
    });
    return waiting.splice(0, tooMany === -1 ? waiting.length : tooMany);
  };
  const run = async (): Promise<void> => {
    running = true;
    while (waiting.length > 0) {
      await Promise.race([carry(nextGroup()), sleep(HELD_UP, undefined, { ref: false })]);
    }
    running = false;
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (!running) void run();
    });
}
