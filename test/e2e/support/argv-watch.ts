import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';

const Seen = z.object({
  /** Names of the programs that ran. */
  programs: z.array(z.string()),
  /** Command lines with one of the forms. */
  leaks: z.array(z.string()),
  looks: z.number(),
});
export type Seen = z.infer<typeof Seen>;

/** Looks at the command lines of all processes of this machine, some hundred times a second, until it is stopped. */
export async function watchArgv(forms: readonly string[]): Promise<{ stop(): Promise<Seen> }> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(new URL('./argv-watch-thread.ts', import.meta.url), { workerData: { forms, stop } });
  await once(thread, 'message');
  return {
    async stop() {
      // Both are asked for at once: a thread that ends hands over its last message and its exit in one go.
      const ended = Promise.all([once(thread, 'message'), once(thread, 'exit')]);
      Atomics.store(stop, 0, 1);
      Atomics.notify(stop, 0);
      const [[seen]] = await ended;
      return Seen.parse(seen);
    },
  };
}
