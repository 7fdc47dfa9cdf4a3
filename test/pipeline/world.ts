import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createCluster } from '../../src/pipeline/cluster.ts';
import { RESOURCES } from '../../src/sandbox/kubernetes/object.ts';
import type { Rule } from '../../src/sandbox/kubernetes/rbac.ts';
import { type Kubernetes, startKubernetes } from '../../src/sandbox/kubernetes/server.ts';
import { workerAccount } from '../../src/sandbox/tenant.ts';
import { createLog } from '../../src/telemetry/log.ts';

const PAC = 'pipelinesascode.tekton.dev';
const namespace = 'tenant';

/** How long `vi.waitFor` waits, in milliseconds: it ends a test that hangs, nothing here is about time. */
export const SOON = { timeout: 20_000, interval: 5 };

const Rules = z.array(
  z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
);

/** What the worker's Role allows: runs, task runs, pods. */
export const workerRules: Rule[] = workerAccount(namespace)
  .flatMap(({ rules }) => Rules.safeParse(rules).data ?? [])
  .map(({ apiGroups, ...rule }) => ({ ...rule, groups: apiGroups, namespaces: [namespace] }));

/** A PipelineRun's life as Pipelines-as-Code and Tekton write it. */
export interface StartedRun {
  name: string;
  uid: string;
  queue(): void;
  start(): void;
  end(status: 'True' | 'False', more?: { reason?: string; message?: string; results?: Record<string, unknown> }): void;
  remove(): void;
}

export interface World {
  kubernetes: Kubernetes;
  createRun(options: { sha: string; template?: string; name?: string; finalizers?: string[] }): StartedRun;
  /** A client of the service account; `poll` in milliseconds (a minute unless given, so that only the watch brings news). */
  connect(options?: {
    poll?: number;
    call?: number;
    rules?: Rule[];
  }): ReturnType<typeof createCluster> & { token: string };
  revoke(then: 'revoke' | 'renew'): void;
  /** Ends the API server; the returned function starts it again on the same port and data. */
  down(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

/** An API server with an empty namespace. */
export async function clusterWorld(): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-pipeline-test-'));
  const clients: { close(): Promise<void> }[] = [];
  let kubernetes = await startKubernetes({ dir });
  kubernetes.store.create(RESOURCES.namespaces, { metadata: { name: namespace } });
  const port = kubernetes.port;
  const log = createLog('silent', 'test');

  return {
    get kubernetes() {
      return kubernetes;
    },

    createRun({ sha, template = 'catalog-on-pull-request', name, finalizers }) {
      const label = template.slice(-62);
      const { metadata } = kubernetes.store.create(RESOURCES.pipelineruns, {
        metadata: {
          namespace,
          ...(name === undefined ? { generateName: `${template.slice(0, 40)}-` } : { name }),
          ...(finalizers === undefined ? {} : { finalizers }),
          labels: { [`${PAC}/sha`]: sha, [`${PAC}/original-prname`]: label, [`${PAC}/state`]: 'started' },
          annotations: { [`${PAC}/sha`]: sha, [`${PAC}/original-prname`]: template },
        },
        spec: { pipelineSpec: { tasks: [] } },
      });
      const reference = { namespace, name: metadata.name };
      const edit = (part: 'object' | 'status', fields: Record<string, unknown>) =>
        kubernetes.store.edit(RESOURCES.pipelineruns, reference, (run) => void Object.assign(run, fields), { part });
      const condition = (status: string, reason: string, message = '') => ({
        type: 'Succeeded',
        status,
        reason,
        message,
      });
      const startTime = new Date().toISOString().replace(/\.\d+/, '');
      return {
        name: metadata.name,
        uid: metadata.uid,
        queue: () => {
          edit('object', { spec: { pipelineSpec: { tasks: [] }, status: 'PipelineRunPending' } });
          edit('status', { status: { conditions: [condition('Unknown', 'PipelineRunPending')] } });
        },
        start: () => {
          edit('object', { spec: { pipelineSpec: { tasks: [] } } });
          edit('status', {
            status: { startTime, conditions: [condition('Unknown', 'Running', 'Tasks Completed: 0')] },
          });
        },
        end: (status, { reason = status === 'True' ? 'Succeeded' : 'Failed', message = '', results = {} } = {}) => {
          const listed = Object.entries(results).map(([key, value]) => ({ name: key, value }));
          const other = { type: 'AnotherType', status: 'False', reason: 'NotOurs', message: '' };
          edit('status', {
            status: { startTime, conditions: [other, condition(status, reason, message)], results: listed },
          });
        },
        remove: () => void kubernetes.store.remove(RESOURCES.pipelineruns, reference),
      };
    },

    connect({ poll = 60_000, call = 2_000, rules = workerRules } = {}) {
      const { token, tokenFile } = kubernetes.access.serviceAccount(namespace, 'worker', rules);
      const target = { url: kubernetes.url, namespace, tokenFile, caFile: kubernetes.caFile };
      const client = createCluster(target, { call, poll, log });
      clients.push(client);
      return { ...client, token };
    },

    revoke: (then) => void kubernetes.access.revoke(namespace, 'worker', then),

    async down() {
      await kubernetes.close();
      return async () => {
        kubernetes = await startKubernetes({ dir, port });
      };
    },

    async stop() {
      await Promise.all(clients.map((client) => client.close()));
      await kubernetes.close();
      await rm(dir, { recursive: true });
    },
  };
}

/** Counts the paths it is asked about and matches none: a fault's target that only looks on. */
export class Onlooker extends RegExp {
  count = 0;

  override test(): boolean {
    this.count += 1;
    return false;
  }
}
