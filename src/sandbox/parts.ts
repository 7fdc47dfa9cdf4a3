import { join, resolve } from 'node:path';
import { createLog } from '../telemetry/log.ts';
import { type GitLab, startGitLab } from './gitlab/server.ts';
import { type Kubernetes, startKubernetes } from './kubernetes/server.ts';
import type { Layout } from './layout.ts';
import { type PipelinesAsCode, startPipelinesAsCode } from './pac/server.ts';
import { startPostgres } from './postgres.ts';
import { COMPILE_CACHE } from './program.ts';
import { type RunningRegistry, startRegistry } from './registry.ts';
import { RELEASE_USER } from './service-files.ts';
import { startTekton } from './tekton/controller.ts';
import type { TektonFaults } from './tekton/faults.ts';

const ROOT = resolve(import.meta.dirname, '../..');
export const TOOLS = join(ROOT, '.tools', 'bin');

/** One of the sandbox's servers: it can be stopped and started again at its address, with what it kept. */
export interface Part<T> {
  /** The running server; a thrown Error while it is stopped. */
  readonly now: T;
  start(): Promise<void>;
  stop(): Promise<void>;
}

function part<T>(name: string, begin: () => Promise<T>, end: (running: T) => Promise<void>): Part<T> {
  let running: T | undefined;
  return {
    get now() {
      if (running === undefined) throw new Error(`${name} is not running`);
      return running;
    },
    async start() {
      running ??= await begin();
    },
    async stop() {
      const stopping = running;
      running = undefined;
      if (stopping !== undefined) await end(stopping);
    },
  };
}

/** Everything the service talks to. */
export interface Parts {
  postgres: Part<{ url: string }>;
  registry: Part<RunningRegistry>;
  gitlab: Part<GitLab>;
  /** API server and the controllers that run on it. */
  kubernetes: Part<Kubernetes & { tekton: TektonFaults }>;
  pipelinesAsCode: Part<PipelinesAsCode>;
}

/** Describes the parts of a sandbox; nothing runs yet. A `DATABASE_URL` in the environment takes the place of our Postgres. */
export function partsOf({ path, identity }: Layout): Parts {
  const { ports, registryUsers } = identity;
  const log = (name: string) => createLog(process.env.INDEXWRIGHT_LOG_LEVEL ?? 'silent', name);
  const kubernetes = part(
    'kubernetes',
    async () => {
      const server = await startKubernetes({ dir: path('kubernetes'), port: ports.kubernetes });
      const tekton = await startTekton({
        store: server.store,
        logs: server.logs,
        dir: path('tekton'),
        env: {
          INDEXWRIGHT_OPM_DIR: TOOLS,
          NODE_COMPILE_CACHE: COMPILE_CACHE,
        },
        log: log('tekton'),
      });
      return {
        ...server,
        tekton: tekton.faults,
        close: async () => {
          await tekton.close();
          await server.close();
        },
      };
    },
    (server) => server.close(),
  );
  return {
    postgres: part(
      'postgres',
      async () => {
        const given = process.env.DATABASE_URL;
        if (given) return { url: given, stop: async () => {} };
        return startPostgres({ dir: path('postgres'), port: ports.postgres, settings: { fsync: 'off' } });
      },
      ({ stop }) => stop(),
    ),
    registry: part(
      'registry',
      () =>
        startRegistry({
          dir: path('registry'),
          port: ports.registry,
          auth: {
            users: [
              { user: 'service', password: registryUsers.service },
              { user: 'pipeline', password: registryUsers.pipeline },
              { user: RELEASE_USER, password: registryUsers.release },
            ],
          },
        }),
      (registry) => registry.close(),
    ),
    gitlab: part(
      'gitlab',
      () => startGitLab({ dir: path('gitlab'), port: ports.gitlab, log: log('gitlab') }),
      (gitlab) => gitlab.close(),
    ),
    kubernetes,
    pipelinesAsCode: part(
      'pipelines-as-code',
      () =>
        startPipelinesAsCode({
          port: ports.pipelinesAsCode,
          store: kubernetes.now.store,
          log: log('pipelines-as-code'),
        }),
      (pac) => pac.close(),
    ),
  };
}
