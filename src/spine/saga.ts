import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure, describe, Failure } from '../errors/failure.ts';
import { type Patience, patiently } from '../errors/retry.ts';
import type { Entry, Journal } from './journal.ts';
import type { AnyStep, StepWorld } from './step.ts';

/** The world as the saga gets it: reports and notes are bound to the running step here. */
export type SagaWorld = Omit<StepWorld, 'note' | 'outcomeOf'>;

/** Milliseconds: waits between tries of one step, and of one undo. */
export interface SagaTimes {
  patience: Patience;
  /** After the commit point only forward: tried again for so long before the merge is reverted. */
  forward: Patience;
  undo: { first: number; longest: number };
}

/** The steps in order; from the one named `commitPoint` on, a failure is met with more patience. */
export interface Route {
  steps: readonly AnyStep[];
  commitPoint: string;
}

/**
 * Runs the steps that the journal does not show as done. May be called again after a crash at any instruction.
 *
 * @throws the Failure of the step that could not be done; nothing has been undone then
 */
export async function runSaga(route: Route, world: SagaWorld, journal: Journal, times: SagaTimes): Promise<void> {
  let patience = times.patience;
  for (const step of route.steps) {
    const known = journal.entries.find((entry) => entry.name === step.name);
    if (known?.outcome === undefined) await runStep(step, known, world, journal, patience);
    if (step.name === route.commitPoint) patience = times.forward;
  }
}

async function runStep(
  step: AnyStep,
  known: Entry | undefined,
  world: SagaWorld,
  journal: Journal,
  patience: Patience,
) {
  let entry = known;
  const bound: StepWorld = {
    ...world,
    async note(notes) {
      if (entry !== undefined) await journal.note(entry, notes);
    },
    outcomeOf: (earlier) => outcomeOf(journal, earlier),
  };
  const again = (failure: Failure, wait: number) =>
    world.log.warn({ step: step.name, code: failure.code, wait, cause: describe(failure) }, 'step will be tried again');

  const intent =
    entry === undefined
      ? await patiently(patience, world.signal, () => step.intend(bound), again)
      : step.intent.parse(entry.intent);
  entry ??= await journal.intend(step.name, intent);
  world.log.info({ step: step.name, intent }, 'step starts');
  const outcome = await patiently(patience, world.signal, () => step.run(intent, bound), again);
  await journal.finish(entry, outcome);
  world.log.info({ step: step.name, outcome }, 'step done');
}

function outcomeOf<Outcome>(journal: Journal, step: Pick<AnyStep, 'name' | 'outcome'>): Outcome {
  const entry = journal.entries.find(({ name }) => name === step.name);
  if (entry?.outcome === undefined) throw new Failure('unexpected', `Step ${step.name} has no outcome yet`);
  return step.outcome.parse(entry.outcome) as Outcome;
}

/**
 * Undoes in reverse order whatever the journal shows as begun. Each undo is tried until it works: leaving a change half
 * undone is never an answer. What holds it up is told to `onStuck`, null when it moves again.
 */
export async function undoSaga(
  route: Route,
  world: SagaWorld,
  journal: Journal,
  times: SagaTimes,
  onStuck: (message: string | null) => Promise<void>,
): Promise<void> {
  for (const entry of [...journal.entries].reverse()) {
    const step = route.steps.find(({ name }) => name === entry.name);
    if (step === undefined) throw new Failure('unexpected', `The journal has a step ${entry.name} that nobody knows`);
    const bound: StepWorld = { ...world, note: async () => {}, outcomeOf: (earlier) => outcomeOf(journal, earlier) };
    for (let wait = times.undo.first, stuck = false; ; wait = Math.min(wait * 2, times.undo.longest)) {
      world.signal.throwIfAborted();
      try {
        await step.undo(step.intent.parse(entry.intent), bound);
        if (stuck) await onStuck(null);
        break;
      } catch (thrown) {
        const failure = asFailure(thrown);
        if (failure.code === 'lease_lost' || world.signal.aborted) throw thrown;
        stuck = true;
        world.log.error({ step: step.name, wait, cause: describe(thrown) }, 'undo did not work yet');
        await onStuck(`${step.name}: ${failure.message}`);
        await sleep(wait, undefined, { signal: world.signal });
      }
    }
    await journal.undone(entry);
    world.log.info({ step: step.name }, 'step undone');
  }
}
