import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure, Failure } from './failure.ts';

/** How long and how often transient failures are tried again. All times in milliseconds. */
export interface Patience {
  /** Give up once this much time has gone since the first failure. */
  total: number;
  /** First wait; doubles each time up to `longest`. */
  first: number;
  longest: number;
}

/** Failures somebody has already been patient about: whoever called them need not be so once more. */
const spent = new WeakSet<Failure>();

/**
 * Runs `work` again while it fails transiently (errors/policy.ts), with growing waits, `Retry-After` honoured.
 *
 * @param onRetry told of each failure that will be tried again, with the wait in milliseconds
 * @throws the last failure once the patience is spent (here or in a `patiently` inside of `work`), any other failure at
 *   once, the signal's reason when aborted
 */
export async function patiently<T>(
  patience: Patience,
  signal: AbortSignal,
  work: () => Promise<T>,
  onRetry: (failure: Failure, wait: number) => void = () => {},
): Promise<T> {
  let until: number | undefined;
  for (let wait = patience.first; ; wait = Math.min(wait * 2, patience.longest)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.verdict !== 'transient' || isSpent(failure)) throw thrown;
      until ??= Date.now() + patience.total;
      const pause = failure.retryAfter === undefined ? wait : Math.max(wait, failure.retryAfter * 1000);
      if (Date.now() + pause > until) {
        spent.add(failure);
        throw thrown;
      }
      onRetry(failure, pause);
      await sleep(pause, undefined, { signal });
    }
  }
}

/** Also where it was given a better sentence on its way up. */
function isSpent(failure: Failure): boolean {
  return spent.has(failure) || (failure.cause instanceof Failure && isSpent(failure.cause));
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
