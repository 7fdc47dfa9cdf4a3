import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { migrate } from '../db/migrate.ts';
import { describe } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { type Heartbeat, startHeartbeat } from '../worker/heartbeat.ts';

type Role = 'api' | 'worker';

/** A running half of the service. */
interface Running {
  stop(): Promise<void>;
}

const START: Record<Role, (config: Config, log: Log, heartbeat: Heartbeat) => Promise<Running>> = {
  api: async (config, log) => {
    const { serveApi } = await import('../api/server.ts');
    const { openDatabase } = await import('../db/pool.ts');
    const database = openDatabase(config.databaseUrl, { max: 20 });
    const served = await serveApi({ config, database, log });
    log.info({ url: served.url }, 'api is ready');
    return {
      stop: async () => {
        await served.close();
        await database.close();
      },
    };
  },
  worker: async (config, log, heartbeat) => {
    const { openRooms } = await import('../worker/rooms.ts');
    const { startRunner } = await import('../worker/runner.ts');
    const { tasks } = await import('../worker/tasks.ts');
    const { startMessages } = await import('../worker/messages.ts');
    const rooms = openRooms(config, log);
    const messages = startMessages(config, rooms.db, log);
    const runner = startRunner({
      databaseUrl: config.databaseUrl,
      concurrency: config.worker.concurrency,
      log,
      tasks: (lost) => tasks(rooms, lost),
      onState: (state) => heartbeat.say(state),
    });
    return {
      stop: async () => {
        await runner.stop();
        await messages.stop();
        await rooms.close();
      },
    };
  },
};

/** Runs the service until SIGTERM or SIGINT, then lets running work stop at a safe point. */
export async function runService(configFile: string, roles: Role[]): Promise<void> {
  const config = loadConfig(configFile);
  const log = createLog(config.logLevel, roles.length === 1 ? `indexwright-${roles[0]}` : 'indexwright');
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // A second signal does not wait: the journal makes that safe.
      if (stopping.signal.aborted) process.exit(1);
      stopping.abort(new Error(signal));
    });
  }
  const heartbeat = startHeartbeat(roles.includes('worker') ? config.worker.heartbeatFile : undefined, log);
  await patiently(
    { total: Number.POSITIVE_INFINITY, first: 500, longest: 5000 },
    stopping.signal,
    () => migrate(config.databaseUrl),
    (failure, wait) => log.warn({ wait, cause: describe(failure) }, 'the database is not ready; next try soon'),
  );
  const running: Running[] = [];
  for (const role of roles) running.push(await START[role](config, log, heartbeat));
  await new Promise<void>((resolve) => {
    if (stopping.signal.aborted) resolve();
    stopping.signal.addEventListener('abort', () => resolve());
  });
  log.info('stopping');
  for (const part of running.reverse()) await part.stop();
  heartbeat.stop();
  // Kept HTTP connections to registries and GitLab would hold the process until they time out.
  process.exit(0);
}

/** Brings the database of a configuration to this version. */
export async function runMigrations(configFile: string): Promise<void> {
  await migrate(loadConfig(configFile).databaseUrl);
}
