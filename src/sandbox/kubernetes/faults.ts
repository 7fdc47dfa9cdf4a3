import type { Call } from './call.ts';

/** Which calls a fault strikes; every field that is given must fit. */
export interface Target {
  verb?: string;
  /** Plural, e.g. `pipelineruns`. */
  resource?: string;
  part?: string;
  name?: string;
  path?: RegExp;
}

/** What happens to a call instead of (or before) its answer (konflux-and-gitlab.md §6.2 points 8 and 9). */
export type Fault =
  | { kind: 'status'; status: number; message?: string; retryAfter?: number; html?: string }
  /** Milliseconds before the true answer. */
  | { kind: 'delay'; milliseconds: number }
  /** The connection is reset. */
  | { kind: 'drop' }
  /** The effect takes place, then the connection is reset. */
  | { kind: 'drop after' }
  /** No answer, ever. */
  | { kind: 'hang' };

/** A watch that is open now. */
export interface OpenWatch {
  call: Call;
  /** Ends it as a server does at its timeout. */
  end(): void;
  /** Resets its connection. */
  reset(): void;
  /** Sends bytes that are no frame. */
  write(text: string): void;
  /** Stops sending without closing. */
  silence(): void;
}

interface Armed {
  target: Target;
  fault: Fault;
  left: number;
}

/** Makes the API server misbehave on purpose. In-process only: tests and the sandbox's own commands call it. */
export class Faults {
  readonly watches = new Set<OpenWatch>();
  #armed: Armed[] = [];

  /** The next `times` calls that fit `target` meet `fault`. The returned function disarms it. */
  inject(target: Target, fault: Fault, times = 1): () => void {
    const armed = { target, fault, left: times };
    this.#armed.push(armed);
    return () => {
      armed.left = 0;
    };
  }

  /** Takes the fault that is due for this call, if any. */
  take(call: Call): Fault | undefined {
    const due = this.#armed.find(({ target, left }) => left > 0 && fits(target, call));
    if (!due) return undefined;
    due.left -= 1;
    this.#armed = this.#armed.filter(({ left }) => left > 0);
    return due.fault;
  }

  /** Does something to all open watches (of a resource): `faults.eachWatch((watch) => watch.reset())`. Gives their number. */
  eachWatch(act: (watch: OpenWatch) => void, resource?: string): number {
    const struck = [...this.watches].filter(({ call }) => resource === undefined || call.resource?.plural === resource);
    for (const watch of struck) act(watch);
    return struck.length;
  }

  clear(): void {
    this.#armed = [];
  }
}

function fits(target: Target, call: Call): boolean {
  return (
    (target.verb === undefined || target.verb === call.verb) &&
    (target.resource === undefined || target.resource === call.resource?.plural) &&
    (target.part === undefined || target.part === call.part) &&
    (target.name === undefined || target.name === call.name) &&
    (target.path === undefined || target.path.test(call.path))
  );
}
