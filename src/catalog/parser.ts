import { resolve } from 'node:path';
import Tinypool from 'tinypool';
import { Failure } from '../errors/failure.ts';
import type * as thread from './parser-thread.ts';

type Work = { [Name in 'read' | 'mask' | 'unmask' | 'filter']: (typeof thread)[Name] };

/** MiB of memory for the JavaScript values of one file. */
const MEMORY = 2048;

let pool: Tinypool | undefined;

/**
 * Runs a function of `parser-thread.ts` in the process's one thread for catalog files, begun with the first.
 *
 * @param shown name of the file for texts, without local path
 * @throws Failure `catalog_invalid` when the file needs more memory than the thread has; the signal's reason
 */
export async function inParser<Name extends keyof Work>(
  name: Name,
  task: Parameters<Work[Name]>[0],
  { shown, signal }: { shown: string; signal?: AbortSignal | undefined },
): Promise<ReturnType<Work[Name]>> {
  signal?.throwIfAborted();
  pool ??= new Tinypool({
    filename: resolve(import.meta.dirname, 'parser-thread.ts'),
    runtime: 'worker_threads',
    // Never fewer: when a thread is ended with its task, what waits must find another.
    minThreads: 1,
    maxThreads: 1,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY },
    execArgv: [],
    env: {},
  });
  try {
    return await pool.run(task, { name, ...(signal === undefined ? {} : { signal }) });
  } catch (thrown) {
    signal?.throwIfAborted();
    if ((thrown as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw thrown;
    throw new Failure('catalog_invalid', `The catalog file ${shown} needs more than ${MEMORY} MiB to be read`, {
      cause: thrown,
    });
  }
}
