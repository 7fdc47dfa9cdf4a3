import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, Failure } from '../../errors/failure.ts';
import { childEnvironment } from '../../process/run.ts';
import { type Part, part } from '../part.ts';
import { type RunningProgram, startProgram } from '../program.ts';

const FOLDERS = resolve(import.meta.dirname, '../../../.tools');

/** Folders with the programs of a real cluster and, under `config/`, the objects they come with (scripts/tools.sh cluster). */
export interface ClusterTools {
  kubernetes: string;
  tekton: string;
  pac: string;
}

/** @throws Failure `configuration_invalid` when they are not there, with how to get them */
export function clusterTools(): ClusterTools {
  const tools = {
    kubernetes: join(FOLDERS, 'kubernetes'),
    tekton: join(FOLDERS, 'tekton'),
    pac: join(FOLDERS, 'pac'),
  };
  const missing = Object.entries(tools).filter(([, folder]) => !existsSync(folder));
  if (missing.length > 0) {
    const names = missing.map(([name]) => name).join(', ');
    throw new Failure(
      'configuration_invalid',
      `The programs of a real cluster are not there (${names}): 'scripts/tools.sh cluster' builds them, once per machine`,
    );
  }
  return tools;
}

/** One program of the cluster, which can be ended and started again in its place. */
export type ClusterProgram = Part<RunningProgram>;

export interface ProgramOptions {
  name: string;
  file: string;
  args?: string[];
  env?: Record<string, string>;
  log: string;
  /** Looked at again and again until it holds; what it throws counts as no. */
  ready: () => Promise<unknown>;
}

/** Milliseconds between two looks at what must become true. */
const LOOK_AGAIN = 50;
/** Milliseconds after which a program that lives counts as one that will never be of use; busy machines are slow. */
const STARTS_WITHIN = 180_000;

/**
 * Describes a program; nothing runs yet. It is ended by SIGKILL: these programs take up to a minute over SIGTERM or
 * never end, and what they know is in etcd (real-cluster.md §5.6).
 *
 * Starting it throws Failure `process_failed` when it ends or is not ready in time, with the place of its log.
 */
export function program({ name, file, args = [], env = {}, log, ready }: ProgramOptions): ClusterProgram {
  return part(
    name,
    () =>
      startProgram({
        name,
        file,
        args,
        env: childEnvironment(env),
        log,
        ready: (signal) => becomes(ready, { signal, what: `${name} to be ready` }),
      }).catch((cause) => {
        const words = readFileSync(log, 'utf8').split('\n').slice(-8).join('\n');
        throw new Failure('process_failed', `${name} could not be started: see ${log}`, {
          cause: new Error(describe(cause), { cause: words }),
        });
      }),
    (running) => running.kill(),
  );
}

/**
 * Waits until something holds: a look that neither throws nor gives `false`.
 *
 * @throws Failure `process_failed` when it does not in three minutes, with the last reason
 */
export async function becomes(
  look: () => Promise<unknown>,
  { signal, what }: { signal?: AbortSignal; what: string },
): Promise<void> {
  let cause: unknown;
  for (const limit = Date.now() + STARTS_WITHIN; Date.now() < limit; ) {
    try {
      if ((await look()) !== false) return;
    } catch (thrown) {
      cause = thrown;
    }
    if (signal?.aborted) return;
    await new Promise((next) => setTimeout(next, LOOK_AGAIN));
  }
  throw new Failure('process_failed', `Waited in vain for ${what}`, { cause });
}

/** A look at a health endpoint of a program on this machine, for {@link becomes}. */
export const answers = (port: number | string, path: string) => async (): Promise<boolean> => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  await answer.arrayBuffer();
  return answer.ok;
};
