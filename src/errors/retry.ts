import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure, type Failure } from './failure.ts';

/** How long and how often transient failures are tried again. All times in milliseconds. */
export interface Patience {
  /** Give up once this much time has gone since the first try. */
  total: number;
  /** First wait; doubles each time up to `longest`. */
  first: number;
  longest: number;
}

/**
 * Runs `work` again while it fails transiently (errors/policy.ts), with growing waits, `Retry-After` honoured.
 *
 * @param onRetry told of each failure that will be tried again, with the wait in milliseconds
 * @throws the last failure once the patience is spent, any other failure at once, the signal's reason when aborted
 */
export async function patiently<T>(
  patience: Patience,
  signal: AbortSignal,
  work: () => Promise<T>,
  onRetry: (failure: Failure, wait: number) => void = () => {},
): Promise<T> {
  const until = Date.now() + patience.total;
  for (let wait = patience.first; ; wait = Math.min(wait * 2, patience.longest)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.verdict !== 'transient') throw thrown;
      const pause = failure.retryAfter === undefined ? wait : Math.max(wait, failure.retryAfter * 1000);
      if (Date.now() + pause > until) throw thrown;
      onRetry(failure, pause);
      await sleep(pause, undefined, { signal });
    }
  }
}

/** The same object whose asynchronous methods each go through `patiently`. */
export function patient<T extends object>(
  target: T,
  patience: Patience,
  signal: AbortSignal,
  onRetry?: (failure: Failure, wait: number) => void,
): T {
  return new Proxy(target, {
    get(object, name, receiver) {
      const member = Reflect.get(object, name, receiver) as unknown;
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        const call = () => Reflect.apply(member, object, args) as unknown;
        const first = call();
        if (!(first instanceof Promise)) return first;
        let pending: Promise<unknown> | undefined = first;
        return patiently(
          patience,
          signal,
          async () => {
            const attempt = pending ?? call();
            pending = undefined;
            return attempt;
          },
          onRetry,
        );
      };
    },
  });
}
