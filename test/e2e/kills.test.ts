import { afterAll, beforeAll, describe, test } from 'vitest';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { dropWaiting, gateAt, type Moment } from './support/gate.ts';
import { expectPublished, newOperator } from './support/proof.ts';
import { type World, world } from './support/world.ts';

let w: World;
/** The one worker that runs between two tests. */
let worker: RunningProgram;
let operators = 0;

beforeAll(async () => {
  w = await world({ workers: 0 });
  worker = await w.sandbox.startWorker('worker-0');
});
afterAll(() => w?.close());

/** An operator that no index has yet, and how everything looks before it is added. */
async function prepare() {
  operators += 1;
  const operator = `lantern-${operators}`;
  const bundle = await newOperator(w, operator);
  return { operator, bundle, before: await w.photograph() };
}

/** kill -9 of the worker that stands at the gate: what it was about to write is never written. */
async function killAt(gate: Awaited<ReturnType<typeof gateAt>>): Promise<void> {
  await gate.reached();
  await worker.kill();
  await dropWaiting(w.databaseUrl);
  await gate.open();
}

async function startAgain(): Promise<void> {
  worker = await w.sandbox.startWorker(`worker-${operators}`);
}

const STEPS = ['artifact', 'propose', 'build', 'stage', 'merge', 'publish'];
const BETWEEN: [string, Moment][] = STEPS.flatMap((step): [string, Moment][] => [
  [step, 'intent'],
  [step, 'outcome'],
]);

describe('kill -9 of the worker, and another one started', () => {
  test.each(BETWEEN)('before the journal has %s, %s', async (step, moment) => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, step, moment);
    const request = await w.add({ bundles: [bundle] });
    await killAt(gate);
    await startAgain();
    await expectPublished(w, await w.end(request), operator, before);
  });
});
