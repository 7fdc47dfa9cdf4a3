import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createLog } from '../../telemetry/log.ts';
import type { Layout } from '../layout.ts';
import { allUp, type Part, part } from '../part.ts';
import { type ClusterAddress, commonParts, type HookAddress, type Parts } from '../parts.ts';
import { type Rest, restClient } from '../rest.ts';
import { type ControlPlane, controlPlane } from './control-plane.ts';
import { clusterIdentity, takePlace } from './identity.ts';
import { install } from './install.ts';
import { builderImage, tektonImages } from './kubelet/images.ts';
import { startKubelet } from './kubelet/kubelet.ts';
import { pacObjects, tektonObjects } from './objects.ts';
import { type PipelinesAsCodePrograms, pipelinesAsCode } from './pipelines-as-code.ts';
import { type ClusterTools, clusterTools } from './programs.ts';
import { dropLeases, type Tekton, tekton } from './tekton.ts';

const PROJECT = resolve(import.meta.dirname, '../../..');

/** A running cluster of real programs; each can be stopped and started alone, as failures of one do. */
export interface RealCluster extends ClusterAddress, ControlPlane {
  tekton: Tekton;
  /** Runs the pods. */
  kubelet: Part<unknown>;
  adminToken: string;
  /** Where etcd serves its clients, without credentials. */
  etcdUrl: string;
  /** PEM */
  ca: string;
  /** As admin. */
  rest: Rest;
  /** Lets another real cluster start on this machine. */
  leave(): Promise<void>;
}

export interface RealPipelinesAsCode extends HookAddress, PipelinesAsCodePrograms {}

export type RealParts = Parts<RealCluster, RealPipelinesAsCode>;

/**
 * Describes the parts of a sandbox whose cluster is real; nothing runs yet. Starting the cluster throws Failure
 * `configuration_invalid` (programs not built, port taken) or `process_failed` (one of them does not come up).
 */
export function realParts(layout: Layout): RealParts {
  const { path, identity } = layout;
  const logs = (name: string) => path('logs', `${name}.log`);
  const { ports } = identity;

  async function startCluster(): Promise<RealCluster> {
    const tools = clusterTools();
    const leave = await takePlace();
    try {
      return await startHere(tools, leave);
    } catch (thrown) {
      await leave();
      throw thrown;
    }
  }

  async function startHere(tools: ClusterTools, leave: () => Promise<void>): Promise<RealCluster> {
    const at = await clusterIdentity(path('kubernetes'), ports.kubernetes);
    const rest = restClient(at.url, { authorization: `Bearer ${at.adminToken}` }, { ca: at.tls.ca });
    const plane = controlPlane(at, tools, logs);
    const ofTekton = await tekton(at, tools, { cluster: rest, logs });
    const compileCache = path('compile-cache');
    mkdirSync(compileCache, { recursive: true, mode: 0o700 });
    const kubelet = part(
      'kubelet',
      () =>
        startKubelet({
          server: at.url,
          ca: at.tls.ca,
          token: at.adminToken,
          dir: path('kubelet'),
          images: [...tektonImages(tools.tekton), builderImage({ project: PROJECT, compileCache })],
          log: createLog(process.env.INDEXWRIGHT_LOG_LEVEL ?? 'silent', 'kubelet'),
        }),
      (running) => running.close(),
    );
    const cluster: RealCluster = {
      ...plane,
      tekton: ofTekton,
      kubelet,
      url: at.url,
      caFile: at.tls.caFile,
      ca: at.tls.ca,
      kubeconfig: at.kubeconfig,
      adminToken: at.adminToken,
      etcdUrl: `http://127.0.0.1:${at.etcd}`,
      rest,
      leave,
    };
    try {
      await plane.etcd.start();
      const serving = plane.apiServer.start();
      // A second of parsing, while the server comes up.
      const objects = [
        ...tektonObjects(join(tools.tekton, 'config'), at.tektonWebhook),
        ...pacObjects(join(tools.pac, 'config')),
      ];
      await serving;
      await allUp([plane.controllerManager.start(), install(rest, objects, path('kubernetes', 'installed'))]);
      await dropLeases(rest);
      await allUp([...Object.values(ofTekton), kubelet].map((one) => one.start()));
      return cluster;
    } catch (thrown) {
      await stopPrograms(cluster);
      throw thrown;
    }
  }

  async function stopCluster(cluster: RealCluster): Promise<void> {
    await stopPrograms(cluster);
    await cluster.leave();
  }

  async function stopPrograms(cluster: RealCluster): Promise<void> {
    const { kubelet, tekton: ofTekton, controllerManager, apiServer, etcd } = cluster;
    for (const one of [...Object.values(ofTekton), kubelet, controllerManager, apiServer, etcd]) await one.stop();
  }

  const kubernetes = part('kubernetes', startCluster, stopCluster);
  return {
    ...commonParts(layout),
    kubernetes,
    pipelinesAsCode: part(
      'pipelines-as-code',
      async () => {
        const at = await clusterIdentity(path('kubernetes'), ports.kubernetes);
        const programs = await pipelinesAsCode(at, clusterTools(), {
          cluster: kubernetes.now.rest,
          logs,
          port: ports.pipelinesAsCode,
        });
        const running = { ...programs, url: `http://127.0.0.1:${ports.pipelinesAsCode}/` };
        await allUp(Object.values(programs).map((one) => one.start())).catch(async (thrown) => {
          await stopControllers(running);
          throw thrown;
        });
        return running;
      },
      stopControllers,
    ),
  };
}

async function stopControllers({ webhook, controller, watcher }: PipelinesAsCodePrograms): Promise<void> {
  for (const one of [controller, watcher, webhook]) await one.stop();
}
