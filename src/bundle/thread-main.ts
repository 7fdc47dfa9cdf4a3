import { parentPort } from 'node:worker_threads';
import { asFailure, describe } from '../errors/failure.ts';
import type { Reply } from './thread.ts';
import { type Tasks, tasks } from './thread-tasks.ts';

/** What runs in the threads of `thread.ts`: one task after the other. */
parentPort?.on('message', ({ task, args }: { task: keyof Tasks; args: unknown[] }) => {
  void perform(tasks[task] as (...args: unknown[]) => unknown, args).then((reply) => parentPort?.postMessage(reply));
});

async function perform(task: (...args: unknown[]) => unknown, args: unknown[]): Promise<Reply> {
  try {
    return { result: await task(...args) };
  } catch (thrown) {
    const { code, message, cause } = asFailure(thrown);
    return { code, message, cause: cause === undefined ? undefined : describe(cause) };
  }
}
