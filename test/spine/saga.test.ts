import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Failure } from '../../src/errors/failure.ts';
import type { Entry, Journal } from '../../src/spine/journal.ts';
import { type Route, runSaga, type SagaTimes, type SagaWorld, undoSaga } from '../../src/spine/saga.ts';
import type { Step } from '../../src/spine/step.ts';
import { createLog } from '../../src/telemetry/log.ts';

/** The process is gone: nothing in it runs any more, also no error handling. */
class Crash extends Error {}

/** The world outside: values under names, as tags and branches are. */
type Outside = Map<string, string>;

/** What happens at the n-th touch of the outside or the journal; nothing special when the list is over. */
type Fate = 'fine' | 'crash before' | 'crash after' | 'transient' | 'refused';

class Script {
  readonly #fates: Fate[];
  touches = 0;

  constructor(fates: Fate[]) {
    this.#fates = [...fates];
  }

  async touch<T>(work: () => T): Promise<T> {
    this.touches += 1;
    const fate = this.#fates.shift() ?? 'fine';
    if (fate === 'crash before') throw new Crash();
    if (fate === 'transient') throw new Failure('gitlab_unavailable', 'try again');
    if (fate === 'refused') throw new Failure('merge_refused', 'never');
    const result = work();
    if (fate === 'crash after') throw new Crash();
    return result;
  }
}

const Change = z.object({ name: z.string(), before: z.string().nullable() });

/** A step that sets two values one after the other, so that it can be stopped between them. */
function setting(name: string, outside: Outside, script: Script): Step<z.infer<typeof Change>[], { done: string }> {
  const keys = [`${name}/a`, `${name}/b`];
  const mine = `by ${name}`;
  return {
    name,
    intent: z.array(Change),
    outcome: z.object({ done: z.string() }),
    intend: () => script.touch(() => keys.map((key) => ({ name: key, before: outside.get(key) ?? null }))),
    async run(intent) {
      for (const change of intent) await script.touch(() => outside.set(change.name, mine));
      return { done: mine };
    },
    async undo(intent) {
      for (const { name: key, before } of intent) {
        await script.touch(() => {
          if (outside.get(key) !== mine) return;
          if (before === null) outside.delete(key);
          else outside.set(key, before);
        });
      }
    },
  };
}

/** A journal that survives crashes; its writes may be cut off as well. */
function journalOn(stored: Entry[], script: Script): Journal {
  const entries = structuredClone(stored);
  const at = (entry: Entry) => stored.findIndex(({ seq }) => seq === entry.seq);
  return {
    entries,
    intend: (name, intent) =>
      writing(script, () => {
        const entry = { seq: (stored.at(-1)?.seq ?? 0) + 1, name, intent, outcome: undefined };
        stored.push(structuredClone(entry));
        entries.push(entry);
        return entry;
      }),
    finish: (entry, outcome) =>
      writing(script, () => {
        (stored[at(entry)] as Entry).outcome = outcome;
        entry.outcome = outcome;
      }),
    note: async () => {},
    undone: (entry) =>
      writing(script, () => {
        stored.splice(at(entry), 1);
        entries.splice(entries.indexOf(entry), 1);
      }),
  };
}

/** The journal is a database: a failure there ends the job, and the job runs again. */
async function writing<T>(script: Script, work: () => T): Promise<T> {
  try {
    return await script.touch(work);
  } catch (thrown) {
    throw thrown instanceof Failure ? new Crash() : thrown;
  }
}

const NAMES = ['artifact', 'propose', 'build', 'stage', 'merge', 'publish'];
const times: SagaTimes = {
  patience: { total: 60_000, first: 0, longest: 0 },
  forward: { total: 60_000, first: 0, longest: 0 },
  undo: { first: 0, longest: 0 },
};

/** Works on a delivery as the spine does, starting anew after every crash. */
async function deliver(outside: Outside, script: Script): Promise<'complete' | 'undone'> {
  const stored: Entry[] = [];
  const route: Route = { steps: NAMES.map((name) => setting(name, outside, script)), commitPoint: 'merge' };
  const world = { signal: new AbortController().signal, log: createLog('silent', 'test') } as unknown as SagaWorld;
  let undoing = false;
  for (let job = 0; job < 100; job++) {
    try {
      if (!undoing) {
        await runSaga(route, world, journalOn(stored, script), times);
        return 'complete';
      }
      await undoSaga(route, world, journalOn(stored, script), times, async () => {});
      return 'undone';
    } catch (thrown) {
      if (thrown instanceof Failure) undoing = true;
      else if (!(thrown instanceof Crash)) throw thrown;
    }
  }
  throw new Error('the delivery never ended');
}

const initially = () =>
  new Map([
    ['publish/a', 'somebody'],
    ['stage/b', 'somebody'],
    ['elsewhere', 'untouched'],
  ]);

describe('a delivery', () => {
  test('changes everything when nothing goes wrong', async () => {
    const outside = initially();
    expect(await deliver(outside, new Script([]))).toBe('complete');
    expect(outside.get('publish/a')).toBe('by publish');
    expect(outside.size).toBe(NAMES.length * 2 + 1);
  });

  test('ends complete or undone, never half, whatever happens at whichever instruction', async () => {
    const fate = fc.oneof(
      { weight: 6, arbitrary: fc.constant<Fate>('fine') },
      { weight: 2, arbitrary: fc.constant<Fate>('crash before') },
      { weight: 2, arbitrary: fc.constant<Fate>('crash after') },
      { weight: 2, arbitrary: fc.constant<Fate>('transient') },
      { weight: 1, arbitrary: fc.constant<Fate>('refused') },
    );
    const seen = { complete: 0, undone: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(fate, { maxLength: 60 }), async (fates) => {
        const outside = initially();
        const end = await deliver(outside, new Script(fates));
        seen[end] += 1;
        if (end === 'undone') expect(outside).toEqual(initially());
        else expect([...outside.values()].filter((value) => value.startsWith('by '))).toHaveLength(NAMES.length * 2);
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(seen.complete, seen.undone)).toBeGreaterThan(100);
  });

  test('leaves alone what somebody else has changed since', async () => {
    const outside = initially();
    const script = new Script([]);
    const touch = script.touch.bind(script);
    let touches = 0;
    script.touch = (work) => {
      touches += 1;
      // Publish has set its first value; then somebody takes the tag, and the second write is refused.
      if (
        outside.get('publish/a') === 'by publish' &&
        !outside.has('publish/b') &&
        outside.get('taken') === undefined
      ) {
        outside.set('publish/a', 'somebody new');
        outside.set('taken', 'yes');
        return Promise.reject(new Failure('merge_refused', 'never'));
      }
      return touch(work);
    };
    expect(await deliver(outside, script)).toBe('undone');
    expect(outside.get('publish/a')).toBe('somebody new');
    expect(touches).toBeGreaterThan(10);
  });
});
