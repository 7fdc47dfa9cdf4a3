import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { laneTurn } from '../../src/spine/lane-turn.ts';

const resolveWait = 60_000;
const now = 1_000_000;

describe('the next turn of a lane', () => {
  test('without requests is nothing', () => {
    const candidates = [{ id: 1, resolvingSince: null }];
    expect(laneTurn({ waiting: [], candidates, now, resolveWait })).toEqual({ does: 'nothing' });
  });

  test('is the first request, whatever was submitted later', () => {
    const candidates = [{ id: 8, resolvingSince: null }];
    expect(laneTurn({ waiting: [3, 5], candidates, now, resolveWait })).toEqual({ does: 'deliver', requestIds: [3] });
  });

  test('waits for an older request that is not resolved', () => {
    const candidates = [{ id: 2, resolvingSince: now - 10_000 }];
    const turn = laneTurn({ waiting: [3], candidates, now, resolveWait });
    expect(turn).toEqual({ does: 'wait', until: now + 50_000 });
  });

  test('waits for an older request that no worker has begun to resolve', () => {
    const candidates = [{ id: 2, resolvingSince: null }];
    expect(laneTurn({ waiting: [3], candidates, now, resolveWait })).toEqual({
      does: 'wait',
      until: now + resolveWait,
    });
  });

  test('is not held up by a request that cannot be resolved for a while', () => {
    const candidates = [{ id: 2, resolvingSince: now - resolveWait }];
    expect(laneTurn({ waiting: [3], candidates, now, resolveWait })).toEqual({ does: 'deliver', requestIds: [3] });
  });
});

test('requests are delivered in the order of submission, in whatever order they are resolved', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }).chain((count) => {
        const ids = Array.from({ length: count }, (_, index) => index + 1);
        return fc.shuffledSubarray(ids, { minLength: count, maxLength: count });
      }),
      fc.infiniteStream(fc.boolean()),
      (resolvedInThisOrder, begun) => {
        const unresolved = new Set(resolvedInThisOrder);
        const waiting: number[] = [];
        const delivered: number[] = [];
        for (const id of resolvedInThisOrder) {
          unresolved.delete(id);
          waiting.push(id);
          for (;;) {
            const sorted = waiting.toSorted((a, b) => a - b);
            const candidates = [...unresolved].map((other) => ({
              id: other,
              resolvingSince: begun.next().value ? now : null,
            }));
            const turn = laneTurn({ waiting: sorted, candidates, now, resolveWait });
            if (turn.does !== 'deliver') break;
            for (const taken of turn.requestIds) waiting.splice(waiting.indexOf(taken), 1);
            delivered.push(...turn.requestIds);
          }
        }
        expect(delivered).toEqual(delivered.toSorted((a, b) => a - b));
        expect(delivered).toHaveLength(resolvedInThisOrder.length);
      },
    ),
  );
});
