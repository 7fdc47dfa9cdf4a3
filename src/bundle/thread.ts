import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import pLimit from 'p-limit';
import { Failure } from '../errors/failure.ts';
import type { ErrorCode } from '../errors/policy.ts';
import type { Tasks } from './thread-tasks.ts';

/** What a thread answers. */
export type Reply = { result: unknown } | { code: ErrorCode; message: string; cause: string | undefined };

type Result<Name extends keyof Tasks> = Tasks[Name] extends (...args: never) => infer Value ? Awaited<Value> : never;

/** A task took too long or needed too much memory. */
export class ThreadLimit extends Failure {
  constructor(message: string, options: { cause: unknown }) {
    super('bundle_unsupported', message, options);
  }
}

/** At once; the others wait. */
const THREADS = 2;
/** MiB; the largest manifests (16 MiB) need a fifth of it. */
const MEMORY = { maxOldGenerationSizeMb: 768, stackSizeMb: 8 };
/** Milliseconds for one task; the largest manifests need a tenth of it. */
const TIMEOUT = 60_000;

const places = pLimit(THREADS);
const idle: Worker[] = [];

/**
 * Does a task in another thread, so that nothing else waits for a large file, and none can exhaust the process.
 *
 * @throws Failure what the task throws; {@link ThreadLimit} when it takes too long or needs too much memory
 */
export function inThread<Name extends keyof Tasks>(
  task: Name,
  ...args: Parameters<Tasks[Name]>
): Promise<Result<Name>> {
  return places(async () => {
    const reply = await replyOf(task, args);
    if ('result' in reply) return reply.result as Result<Name>;
    const { code, message, cause } = reply;
    throw new Failure(code, message, { cause });
  });
}

async function replyOf(task: keyof Tasks, args: unknown[]): Promise<Reply> {
  const worker = idle.pop() ?? startThread();
  worker.ref();
  try {
    worker.postMessage({ task, args });
    const [reply] = (await once(worker, 'message', { signal: AbortSignal.timeout(TIMEOUT) })) as [Reply];
    worker.unref();
    idle.push(worker);
    return reply;
  } catch (cause) {
    await worker.terminate();
    const { code, name } = cause as NodeJS.ErrnoException;
    const limits: Record<string, string> = {
      ABORT_ERR: `took longer than ${TIMEOUT / 1000} s`,
      ERR_WORKER_OUT_OF_MEMORY: `needed more than ${MEMORY.maxOldGenerationSizeMb} MiB of memory`,
    };
    const limit = limits[code ?? name];
    if (limit === undefined) throw cause;
    throw new ThreadLimit(`The manifests of the bundle cannot be read: it ${limit}. Make them smaller`, { cause });
  }
}

function startThread(): Worker {
  const worker = new Worker(new URL('./thread-main.ts', import.meta.url), { resourceLimits: MEMORY, execArgv: [] });
  // One that dies while nobody waits for it is not given the next task.
  worker.on('error', () => {
    if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1);
  });
  return worker;
}
