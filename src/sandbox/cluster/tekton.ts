import { join } from 'node:path';
import { z } from 'zod';
import { applyTo } from '../apply.ts';
import { freePorts } from '../ports.ts';
import { Anything, type Rest } from '../rest.ts';
import { type ClusterIdentity, PAC_NAMESPACE } from './identity.ts';
import { kindsServed, webhookTaken } from './install.ts';
import { RESOLVERS_NAMESPACE, TEKTON_NAMESPACE } from './objects.ts';
import { answers, type ClusterProgram, type ClusterTools, program } from './programs.ts';

export interface Tekton {
  webhook: ClusterProgram;
  controller: ClusterProgram;
  /** Fetches Pipelines and Tasks from bundles in a registry. */
  resolvers: ClusterProgram;
}

/**
 * Names of images that only the image table of the kubelet knows; where the controller would have to look one up in a
 * registry it is never used here.
 */
const IMAGES = {
  'entrypoint-image': 'local/entrypoint',
  'nop-image': 'local/nop',
  'sidecarlogresults-image': 'local/sidecarlogresults',
  'workingdirinit-image': 'local/workingdirinit',
  'shell-image': 'local/shell',
  'shell-image-win': 'local/none',
};

/** Describes Tekton's three programs; nothing runs yet. They may start at once, and the webhook is needed by all that is applied. */
export async function tekton(
  at: ClusterIdentity,
  tools: ClusterTools,
  { cluster, logs }: { cluster: Rest; logs: (name: string) => string },
): Promise<Tekton> {
  const common = {
    KUBECONFIG: at.kubeconfig,
    SYSTEM_NAMESPACE: TEKTON_NAMESPACE,
    CONFIG_LOGGING_NAME: 'config-logging',
    CONFIG_OBSERVABILITY_NAME: 'config-observability',
    CONFIG_FEATURE_FLAGS_NAME: 'feature-flags',
    CONFIG_DEFAULTS_NAME: 'config-defaults',
    CONFIG_SPIRE: 'config-spire',
    METRICS_DOMAIN: 'tekton.dev/pipeline',
    KUBERNETES_MIN_VERSION: 'v1.28.0',
  };
  const [webhookPorts, controllerPorts, resolverPorts] = [
    await knativePorts(),
    await knativePorts(),
    await knativePorts(),
  ];
  const apply = applyTo(cluster);
  return {
    webhook: program({
      name: 'tekton-webhook',
      file: join(tools.tekton, 'webhook'),
      env: {
        ...common,
        ...webhookPorts,
        CONFIG_LEADERELECTION_NAME: 'config-leader-election-webhook',
        WEBHOOK_PORT: `${at.tektonWebhook}`,
        WEBHOOK_ADMISSION_CONTROLLER_NAME: 'webhook.pipeline.tekton.dev',
        WEBHOOK_SERVICE_NAME: 'tekton-pipelines-webhook',
        WEBHOOK_SECRET_NAME: 'webhook-certs',
      },
      log: logs('tekton-webhook'),
      ready: async () => {
        await webhookTaken(cluster, 'validatingwebhookconfigurations', 'validation.webhook.pipeline.tekton.dev');
        await webhookTaken(cluster, 'mutatingwebhookconfigurations', 'webhook.pipeline.tekton.dev');
        await apply(PROBE, { dryRun: true });
        await kindsServed(cluster);
      },
    }),
    controller: program({
      name: 'tekton-controller',
      file: join(tools.tekton, 'controller'),
      args: ['-disable-ha', ...Object.entries(IMAGES).flatMap(([flag, image]) => [`-${flag}`, image])],
      env: { ...common, ...controllerPorts, CONFIG_LEADERELECTION_NAME: 'config-leader-election-controller' },
      log: logs('tekton-controller'),
      ready: answers(controllerPorts.PROBES_PORT, '/readiness'),
    }),
    resolvers: program({
      name: 'tekton-resolvers',
      file: join(tools.tekton, 'resolvers'),
      env: {
        ...common,
        ...resolverPorts,
        SYSTEM_NAMESPACE: RESOLVERS_NAMESPACE,
        CONFIG_LEADERELECTION_NAME: 'config-leader-election-resolvers',
        METRICS_DOMAIN: 'tekton.dev/resolution',
        TEKTON_HUB_API: '',
        ARTIFACT_HUB_API: 'http://127.0.0.1:1/',
      },
      log: logs('tekton-resolvers'),
      ready: () => leads(cluster),
    }),
  };
}

/** Applied for trial only: passes when the API server reaches the webhook and the webhook agrees. */
const PROBE = {
  apiVersion: 'tekton.dev/v1',
  kind: 'Pipeline',
  metadata: { name: 'is-the-webhook-there', namespace: 'default' },
  spec: { tasks: [{ name: 'one', taskSpec: { steps: [{ name: 'one', image: 'local/shell', script: 'true' }] } }] },
};

/**
 * Ports of a program of this kind; each has defaults that collide with the others' (real-cluster.md §5.6). All of them also
 * want 8080 for one more, which cannot be changed; whoever does not get it goes on without.
 */
export async function knativePorts() {
  const [probes, metrics, profiling] = await freePorts(3);
  return {
    PROBES_PORT: `${probes}`,
    METRICS_PROMETHEUS_PORT: `${metrics}`,
    PROFILING_PORT: `${profiling}`,
  };
}

const Leases = z.object({ items: z.array(z.object({ spec: z.object({ holderIdentity: z.string().min(1) }) })).min(5) });

/** The resolvers have no port of their own to ask; each of the five works when it has its lease. */
async function leads(cluster: Rest): Promise<void> {
  await cluster('GET', leasesIn(RESOLVERS_NAMESPACE), Leases);
}

const leasesIn = (namespace: string) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

/** Takes the leases of programs that were ended, so that their successors need not wait a minute for them to run out. */
export async function dropLeases(cluster: Rest): Promise<void> {
  for (const namespace of [TEKTON_NAMESPACE, RESOLVERS_NAMESPACE, PAC_NAMESPACE]) {
    await cluster('DELETE', leasesIn(namespace), Anything);
  }
}
