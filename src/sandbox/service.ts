import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { childEnvironment } from '../process/run.ts';
import type { Layout } from './layout.ts';
import { QUICK_START, type RunningProgram, startProgram } from './program.ts';

const PROGRAM = resolve(import.meta.dirname, '../../bin/indexwright');
const LOOK_AGAIN = 40;

/** Starts the api as its own process, as it runs in production; ready when its health check passes. */
export function startApi(layout: Layout, apiUrl: string): Promise<RunningProgram> {
  return startService(layout, 'api', async () => {
    const answer = await fetch(`${apiUrl}/api/v1/healthcheck`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.status === 200;
  });
}

/** Starts a worker process; ready when it takes jobs. */
export function startWorker(layout: Layout, name = 'worker'): Promise<RunningProgram> {
  const log = layout.path('logs', `${name}.log`);
  const before = logLength(log);
  return startService(
    layout,
    'worker',
    async () => readFileSync(log, 'utf8').slice(before).includes('"worker is ready"'),
    name,
  );
}

function startService(
  layout: Layout,
  role: 'api' | 'worker',
  isReady: () => Promise<boolean>,
  name: string = role,
): Promise<RunningProgram> {
  return startProgram({
    name,
    file: PROGRAM,
    args: [role, '--config', layout.path('config.yaml')],
    env: childEnvironment({
      INDEXWRIGHT_LOG_LEVEL: process.env.INDEXWRIGHT_LOG_LEVEL ?? 'info',
      ...QUICK_START,
    }),
    log: layout.path('logs', `${name}.log`),
    ready: async (signal) => {
      while (!(await isReady())) await sleep(LOOK_AGAIN, undefined, { signal });
    },
  });
}

function logLength(file: string): number {
  try {
    return readFileSync(file, 'utf8').length;
  } catch {
    return 0;
  }
}
