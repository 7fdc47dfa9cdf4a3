import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { RunningProgram } from '../../../src/sandbox/program.ts';
import type { AnyWorld } from '../../e2e/support/world.ts';

/** Milliseconds: nothing in these tests is about time unless a deadline says so. */
const FOREVER = 240_000;

/** The one worker of a sandbox, which gives way to another when other deadlines are wanted. */
export class Worker {
  readonly #world: AnyWorld;
  #running: RunningProgram | undefined;
  #count = 0;

  constructor(world: AnyWorld) {
    this.#world = world;
  }

  /** Starts a worker with these deadlines, in milliseconds, in the place of the one that runs. */
  async renew(deadlines: Record<string, number> = {}): Promise<void> {
    await this.#running?.stop();
    const file = this.#world.sandbox.layout.path('config.yaml');
    const config = z.looseObject({}).parse(parse(readFileSync(file, 'utf8')));
    const all = { patience: FOREVER, forward: FOREVER, runAppears: FOREVER, runStarts: FOREVER, runEnds: FOREVER };
    writeFileSync(file, stringify({ ...config, deadlines: { ...all, merge: FOREVER, poll: 1000, ...deadlines } }));
    await this.start();
  }

  async start(): Promise<void> {
    this.#count += 1;
    this.#running = await this.#world.sandbox.startWorker(`worker-${this.#count}`);
  }

  /** Stops it in the middle of whatever it does (SIGSTOP), until `wake`. */
  sleep(): void {
    this.#signal('SIGSTOP');
  }

  wake(): void {
    this.#signal('SIGCONT');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#running !== undefined) process.kill(this.#running.pid, signal);
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#running?.kill();
  }
}
