import { type ErrorCode, policy, type Verdict } from './policy.ts';
import { findShortage } from './shortage.ts';

/** What users read when an error has no sentence of its own (request-handling.md §1). */
export const UNKNOWN_ERROR = 'An unknown error occurred. See logs for details';

/**
 * An error with a code for programs, a sentence for people and a cause for us.
 * The sentence may be shown to any user: no token, no local path.
 */
export class Failure extends Error {
  readonly code: ErrorCode;
  /** Seconds the other side asked us to wait (`Retry-After`), if it did. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfter?: number | undefined } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Failure';
    this.code = code;
    this.retryAfter = options.retryAfter;
  }

  get verdict(): Verdict {
    return policy[this.code];
  }
}

/** What a job must run again for keeps its code, whatever is behind it. */
const KEPT: ReadonlySet<ErrorCode> = new Set(['lease_lost', 'database_unavailable', 'local_shortage']);
/** One failure for each error, so that it is known again. */
const shortages = new WeakMap<Error, Failure>();

/**
 * Makes a failure of anything thrown; what is not one already is `unexpected` and keeps its cause for the log. Where a
 * shortage of this machine is behind it (file descriptors, disk, memory), it is `local_shortage`, by whatever name it comes.
 */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure && KEPT.has(thrown.code)) return thrown;
  return (
    shortageBehind(thrown) ??
    (thrown instanceof Failure ? thrown : new Failure('unexpected', UNKNOWN_ERROR, { cause: thrown }))
  );
}

function shortageBehind(thrown: unknown): Failure | undefined {
  for (let at = thrown; at instanceof Error; at = at.cause) {
    if (at instanceof Failure && at.code === 'local_shortage') return at;
    const known = shortages.get(at);
    if (known !== undefined) return known;
  }
  const sentence = findShortage(thrown);
  if (sentence === undefined || !(thrown instanceof Error)) return undefined;
  const failure = new Failure('local_shortage', sentence, { cause: thrown });
  shortages.set(thrown, failure);
  return failure;
}

/** The whole chain of an error's messages, for the log: `outer: cause: its cause`. */
export function describe(thrown: unknown): string {
  const parts: string[] = [];
  for (
    let at: unknown = thrown;
    at !== undefined && parts.length < 10;
    at = at instanceof Error ? at.cause : undefined
  ) {
    parts.push(at instanceof Error ? at.message || at.name : String(at));
  }
  return parts.join(': ');
}
