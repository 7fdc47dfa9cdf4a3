import { join } from 'node:path';
import { applyTo } from '../apply.ts';
import { freePorts } from '../layout.ts';
import type { Rest } from '../rest.ts';
import type { ClusterIdentity } from './identity.ts';
import { webhookTaken } from './install.ts';
import { RESOLVERS_NAMESPACE, TEKTON_NAMESPACE } from './objects.ts';
import { type ClusterProgram, type ClusterTools, program } from './programs.ts';

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
      },
    }),
    controller: program({
      name: 'tekton-controller',
      file: join(tools.tekton, 'controller'),
      args: ['-disable-ha', ...Object.entries(IMAGES).flatMap(([flag, image]) => [`-${flag}`, image])],
      env: { ...common, ...controllerPorts, CONFIG_LEADERELECTION_NAME: 'config-leader-election-controller' },
      log: logs('tekton-controller'),
      ready: alive(controllerPorts),
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
      ready: alive(resolverPorts),
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
 * Ports of a program of this kind that nobody here asks; each has defaults that collide with the others'
 * (real-cluster.md §5.6).
 */
export async function knativePorts() {
  const [probes, health, metrics, profiling] = await freePorts(4);
  return {
    PROBES_PORT: `${probes}`,
    KNATIVE_HEALTH_PROBES_PORT: `${health}`,
    METRICS_PROMETHEUS_PORT: `${metrics}`,
    PROFILING_PORT: `${profiling}`,
  };
}

const alive = (ports: { PROBES_PORT: string }) => async () => {
  const answer = await fetch(`http://127.0.0.1:${ports.PROBES_PORT}/readiness`);
  await answer.arrayBuffer();
  return answer.ok;
};
