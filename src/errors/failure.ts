import { type ErrorCode, policy, type Verdict } from './policy.ts';

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

/** Makes a failure of anything thrown; what is not one already is `unexpected` and keeps its cause for the log. */
export function asFailure(thrown: unknown): Failure {
  return thrown instanceof Failure ? thrown : new Failure('unexpected', UNKNOWN_ERROR, { cause: thrown });
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
