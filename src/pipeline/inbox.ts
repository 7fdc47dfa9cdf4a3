import type { PipelineRun } from './model.ts';

/** `missed`: something may have happened unseen, look again. `quiet`: nothing came in the time given. */
export type News = { kind: 'changed' | 'deleted'; run: PipelineRun } | { kind: 'missed' } | { kind: 'quiet' };

/** One waiter's place at the feed. */
export interface Inbox extends Disposable {
  /** The next piece of news, in order; `quiet` after `within` milliseconds. Throws the signal's reason when aborted. */
  next(within: number, signal: AbortSignal): Promise<News>;
}

/** An inbox and its other side, where news is put in. */
export interface OpenInbox extends Inbox {
  put(news: News): void;
}

/** @param onClose called once the reader has disposed it */
export function openInbox(onClose: () => void): OpenInbox {
  const waiting: News[] = [];
  let wake = () => {};
  return {
    put(news) {
      waiting.push(news);
      wake();
    },
    async next(within, signal) {
      signal.throwIfAborted();
      if (waiting.length === 0) {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(end, Math.max(0, within));
          const abort = () => {
            end();
            reject(signal.reason);
          };
          signal.addEventListener('abort', abort);
          wake = end;
          function end() {
            clearTimeout(timer);
            signal.removeEventListener('abort', abort);
            resolve();
          }
        });
      }
      return waiting.shift() ?? { kind: 'quiet' };
    },
    [Symbol.dispose]: onClose,
  };
}
