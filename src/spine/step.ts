import type { z } from 'zod';
import type { Forge } from '../forge/forge.ts';
import type { Cluster } from '../pipeline/cluster.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { Log } from '../telemetry/log.ts';
import type { Plan } from './plan.ts';

/** Time limits of the steps, in milliseconds. */
export interface Deadlines {
  patience: number;
  branchAppears: number;
  runAppears: number;
  runStarts: number;
  runEnds: number;
  merge: number;
}

/** What steps may touch. Everything that differs between deliveries comes from the plan and the journal. */
export interface StepWorld {
  plan: Plan;
  /** Aborted when this process may no longer work on the delivery. */
  signal: AbortSignal;
  log: Log;
  deadlines: Deadlines;
  forge: Forge;
  cluster: Cluster;
  /** Holds the service's credentials and those that came with the requests, each for its repository only. */
  registry: RegistryClient;
  /** Copies an image with all its arches; `from` by digest. */
  copy(from: string, to: string): Promise<void>;
  /** Uploads index.db content under the artifact's own tag and gives its digest. */
  pushArtifact(request: Plan['requests'][number]): Promise<string>;
  /** Sends the prepared commits to the source branch. */
  pushBranch(): Promise<void>;
  /** Puts the prepared commits onto the target branch itself, if it is still where the change was made on. */
  pushOntoTarget(): Promise<void>;
  /** The state reason all requests of the delivery show from now on. */
  report(reason: string): Promise<void>;
  /** Shown beside the running step: links, names, counts. */
  note(notes: Record<string, unknown>): Promise<void>;
  /** What an earlier step of this delivery came to. */
  outcomeOf<Outcome>(step: Pick<Step<never, Outcome>, 'name' | 'outcome'>): Outcome;
}

/**
 * An effect outside the process. `intend` looks at the world and says what will be touched, so that it can be
 * restored; that is journaled. `run` does it, `undo` restores it; both look first, so both may be called again
 * after a crash with nothing but the journal.
 */
export interface Step<Intent, Outcome> {
  name: string;
  intent: z.ZodType<Intent>;
  outcome: z.ZodType<Outcome>;
  intend(world: StepWorld): Promise<Intent>;
  run(intent: Intent, world: StepWorld): Promise<Outcome>;
  undo(intent: Intent, world: StepWorld): Promise<void>;
}

/** A step whose types only the step itself knows. */
// biome-ignore lint/suspicious/noExplicitAny: the engine hands a step back what the same step's schemas parsed
export type AnyStep = Step<any, any>;
