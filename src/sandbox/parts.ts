import { join, resolve } from 'node:path';
import { createLog } from '../telemetry/log.ts';
import { type GitLab, type GitLabBehaviour, startGitLab } from './gitlab/server.ts';
import { type Kubernetes, startKubernetes } from './kubernetes/server.ts';
import type { Layout } from './layout.ts';
import { type PipelinesAsCode, startPipelinesAsCode } from './pac/server.ts';
import { type Part, part } from './part.ts';
import { startPostgres } from './postgres.ts';
import { QUICK_START } from './program.ts';
import { type RunningRegistry, startRegistry } from './registry.ts';
import { RELEASE_USER } from './service-files.ts';
import { startTekton } from './tekton/controller.ts';
import type { TektonFaults } from './tekton/faults.ts';

const ROOT = resolve(import.meta.dirname, '../..');
export const TOOLS = join(ROOT, '.tools', 'bin');

/** How a cluster is reached, imitated or real; all that the sandbox itself may know of it. */
export interface ClusterAddress {
  url: string;
  caFile: string;
  /** File for kubectl and client libraries, as admin. */
  kubeconfig: string;
}

/** Where GitLab's webhooks go. */
export interface HookAddress {
  url: string;
}

/** API server and the controllers that run on it, as imitated in this process; they can be made to fail. */
export type ImitatedCluster = Kubernetes & { tekton: TektonFaults };

/** Everything the service talks to. */
export interface Parts<Cluster extends ClusterAddress = ImitatedCluster, Hooks extends HookAddress = PipelinesAsCode> {
  postgres: Part<{ url: string }>;
  registry: Part<RunningRegistry>;
  gitlab: Part<GitLab>;
  kubernetes: Part<Cluster>;
  pipelinesAsCode: Part<Hooks>;
}
export type AnyParts = Parts<ClusterAddress, HookAddress>;

const logOf = (name: string) => createLog(process.env.INDEXWRIGHT_LOG_LEVEL ?? 'silent', name);

/** Describes the parts that are the same for both kinds of cluster; nothing runs yet. */
export function commonParts(
  { path, identity }: Layout,
  gitlab: GitLabBehaviour = {},
): Pick<AnyParts, 'postgres' | 'registry' | 'gitlab'> {
  const { ports, registryUsers } = identity;
  return {
    postgres: part(
      'postgres',
      async () => {
        // A name of its own: a shell with some sandbox's or service's DATABASE_URL must not lend that to another sandbox.
        const given = process.env.INDEXWRIGHT_SANDBOX_DATABASE_URL;
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
      () => startGitLab({ ...gitlab, dir: path('gitlab'), port: ports.gitlab, log: logOf('gitlab') }),
      (running) => running.close(),
    ),
  };
}

/** Describes the parts of a sandbox whose cluster is imitated; nothing runs yet. */
export function imitatedParts(layout: Layout, gitlab: GitLabBehaviour = {}): Parts {
  const { path, identity } = layout;
  const kubernetes = part<ImitatedCluster>(
    'kubernetes',
    async () => {
      const server = await startKubernetes({ dir: path('kubernetes'), port: identity.ports.kubernetes });
      const tekton = await startTekton({
        store: server.store,
        logs: server.logs,
        dir: path('tekton'),
        env: { INDEXWRIGHT_OPM_DIR: TOOLS, ...QUICK_START },
        log: logOf('tekton'),
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
    ...commonParts(layout, gitlab),
    kubernetes,
    pipelinesAsCode: part(
      'pipelines-as-code',
      () =>
        startPipelinesAsCode({
          port: identity.ports.pipelinesAsCode,
          store: kubernetes.now.store,
          log: logOf('pipelines-as-code'),
        }),
      (pac) => pac.close(),
    ),
  };
}
