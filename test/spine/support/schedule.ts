import type { DatabasePool } from '../../../src/db/pool.ts';
import { Failure } from '../../../src/errors/failure.ts';

/** What happens at a touch of the database or of the world outside. */
export type Fate =
  | 'fine'
  /** It fails for a passing reason before its effect, or after it: the answer is lost. */
  | 'fails before'
  | 'fails after'
  /** The world refuses for good; what was built on has moved. */
  | 'is refused'
  | 'has moved'
  /** The process is gone, before the effect or after it. */
  | 'killed before'
  | 'killed after'
  /** The worker is told to stop. */
  | 'stopped'
  /** The process is frozen before the effect; it goes on after another job has taken over. */
  | 'frozen';

export type Kind = 'read' | 'effect' | 'database';
export type Touch = <T>(kind: Kind, work: () => T | Promise<T>) => Promise<T>;

/** The process of a job is gone: nothing in it has an effect any more. */
export class Killed extends Error {}

/** Hands out the fates of a schedule, one for each touch, whichever job makes it; all is fine when they are over. */
export class Schedule {
  readonly #fates: Fate[];
  /** Lets the jobs that are frozen go on. */
  readonly #frozen: (() => void)[] = [];
  touches = 0;

  constructor(fates: readonly Fate[]) {
    this.#fates = [...fates];
  }

  /** The touches of one job. `onFrozen` is called when it stands still. */
  jobOf(stop: AbortController, onFrozen: () => void): Touch {
    let gone = false;
    return async (kind, work) => {
      if (gone) throw new Killed();
      this.touches += 1;
      const fate = this.#fates.shift() ?? 'fine';
      if (fate === 'killed before') {
        gone = true;
        throw new Killed();
      }
      if (fate === 'stopped') stop.abort(new Error('the worker is stopping'));
      // A call that is under way when its job loses the lease cannot be called back: jobs freeze where they ask for it.
      if (fate === 'frozen' && kind === 'database') {
        onFrozen();
        await new Promise<void>((resume) => this.#frozen.push(resume));
      }
      if (fate === 'fails before') throw away(kind);
      if (kind !== 'database' && fate === 'is refused') throw new Failure('merge_refused', 'never');
      if (kind !== 'database' && fate === 'has moved') throw new Failure('target_moved', 'it has moved');
      const done = await work();
      if (fate === 'fails after') throw away(kind);
      if (fate === 'killed after') {
        gone = true;
        throw new Killed();
      }
      return done;
    };
  }

  /** Zombies go on: their jobs do not know that another one has taken over. */
  resume(): void {
    for (const resume of this.#frozen.splice(0)) resume();
  }
}

function away(kind: Kind): Failure {
  return kind === 'database'
    ? new Failure('database_unavailable', 'the database is away')
    : new Failure('gitlab_unavailable', 'try again');
}

/** The database as one job sees it. */
export function databaseOf(db: DatabasePool, touch: Touch): DatabasePool {
  return {
    ...db,
    read: (work) => touch('database', () => db.read(work)),
    transaction: (work) => touch('database', () => db.transaction(work)),
  };
}
