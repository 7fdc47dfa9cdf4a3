import { join } from 'node:path';
import { applyTo } from '../apply.ts';
import { freePorts } from '../ports.ts';
import type { Rest } from '../rest.ts';
import { type ClusterIdentity, PAC_NAMESPACE } from './identity.ts';
import { webhookTaken } from './install.ts';
import { answers, type ClusterProgram, type ClusterTools, program } from './programs.ts';
import { knativePorts } from './tekton.ts';

export interface PipelinesAsCodePrograms {
  webhook: ClusterProgram;
  /** Takes the hooks of GitLab. */
  controller: ClusterProgram;
  /** Reports what becomes of the runs. */
  watcher: ClusterProgram;
}

/** Describes the three programs of Pipelines-as-Code; nothing runs yet. @param port where GitLab's hooks go */
export async function pipelinesAsCode(
  at: ClusterIdentity,
  tools: ClusterTools,
  { cluster, logs, port }: { cluster: Rest; logs: (name: string) => string; port: number },
): Promise<PipelinesAsCodePrograms> {
  const observability = 'pipelines-as-code-config-observability';
  const common = {
    KUBECONFIG: at.pacKubeconfig,
    SYSTEM_NAMESPACE: PAC_NAMESPACE,
    CONFIG_LOGGING_NAME: 'pac-config-logging',
    CONFIG_OBSERVABILITY_NAME: observability,
    METRICS_DOMAIN: 'tekton.dev/pipelinesascode',
    KUBERNETES_MIN_VERSION: 'v1.28.0',
    PAC_DISABLE_HEALTH_PROBE: 'true',
    PAC_DISABLE_HA: 'true',
  };
  const [webhookPorts, watcherPorts] = [await knativePorts(), await knativePorts()];
  const [watcherPort, controllerMetrics] = await freePorts(2);
  const apply = applyTo(cluster);
  return {
    webhook: program({
      name: 'pipelines-as-code-webhook',
      file: join(tools.pac, 'pipelines-as-code-webhook'),
      env: {
        ...common,
        ...webhookPorts,
        CONFIG_LEADERELECTION_NAME: 'pac-webhook-config-leader-election',
        WEBHOOK_SERVICE_NAME: 'pipelines-as-code-webhook',
        WEBHOOK_SECRET_NAME: 'pipelines-as-code-webhook-certs',
      },
      log: logs('pipelines-as-code-webhook'),
      ready: async () => {
        await webhookTaken(cluster, 'validatingwebhookconfigurations', 'validation.pipelinesascode.tekton.dev');
        await apply(PROBE, { dryRun: true });
      },
    }),
    controller: program({
      name: 'pipelines-as-code-controller',
      file: join(tools.pac, 'pipelines-as-code-controller'),
      env: {
        ...common,
        K_METRICS_CONFIG: JSON.stringify({
          Domain: 'pipelinesascode.tekton.dev/controller',
          Component: 'pac_controller',
          PrometheusPort: controllerMetrics,
          ConfigMap: { name: observability },
        }),
        K_TRACING_CONFIG: JSON.stringify({ backend: 'prometheus', debug: 'false', 'sample-rate': '0' }),
        K_SINK_TIMEOUT: '30',
        PAC_CONTROLLER_LABEL: 'default',
        PAC_CONTROLLER_SECRET: 'pipelines-as-code-secret',
        PAC_CONTROLLER_CONFIGMAP: 'pipelines-as-code',
        PAC_CONTROLLER_PORT: `${port}`,
      },
      log: logs('pipelines-as-code-controller'),
      ready: answers(port, '/live'),
    }),
    watcher: program({
      name: 'pipelines-as-code-watcher',
      file: join(tools.pac, 'pipelines-as-code-watcher'),
      env: {
        ...common,
        ...watcherPorts,
        CONFIG_LEADERELECTION_NAME: 'pac-watcher-config-leader-election',
        PAC_WATCHER_PORT: `${watcherPort}`,
      },
      log: logs('pipelines-as-code-watcher'),
      ready: answers(watcherPort as number, '/live'),
    }),
  };
}

/** Applied for trial only. */
const PROBE = {
  apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
  kind: 'Repository',
  metadata: { name: 'is-the-webhook-there', namespace: 'default' },
  spec: { url: 'http://127.0.0.1/nobody/nothing' },
};
