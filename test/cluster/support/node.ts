import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { controlPlane } from '../../../src/sandbox/cluster/control-plane.ts';
import { clusterIdentity } from '../../../src/sandbox/cluster/identity.ts';
import type { ImageTable } from '../../../src/sandbox/cluster/kubelet/images.ts';
import { startKubelet } from '../../../src/sandbox/cluster/kubelet/kubelet.ts';
import { ContainerStatus } from '../../../src/sandbox/cluster/kubelet/pod.ts';
import { freePort } from '../../../src/sandbox/ports.ts';
import { Anything, restClient } from '../../../src/sandbox/rest.ts';
import { createLog } from '../../../src/telemetry/log.ts';

const KUBERNETES = resolve(import.meta.dirname, '../../../.tools/kubernetes');

const Seen = z.object({
  metadata: z.object({ name: z.string(), uid: z.string() }),
  status: z.object({
    phase: z.string(),
    reason: z.string().optional(),
    initContainerStatuses: z.array(ContainerStatus).default([]),
    containerStatuses: z.array(ContainerStatus).default([]),
  }),
});
export type Seen = z.infer<typeof Seen>;

/** A control plane and the kubelet, without Tekton: pods are made by hand. */
export async function node(images: ImageTable = []) {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-node-'));
  const at = await clusterIdentity(dir, await freePort());
  const tools = { kubernetes: KUBERNETES, tekton: '', pac: '' };
  const plane = controlPlane(at, tools, (name) => join(dir, `${name}.log`));
  const start = () =>
    startKubelet({
      server: at.url,
      ca: at.tls.ca,
      token: at.adminToken,
      dir: join(dir, 'kubelet'),
      images,
      log: createLog(process.env.INDEXWRIGHT_LOG_LEVEL ?? 'silent', 'kubelet'),
    });
  const programs = [plane.etcd, plane.apiServer, plane.controllerManager];
  for (const program of programs) await program.start();
  let kubelet = await start();
  const rest = restClient(at.url, { authorization: `Bearer ${at.adminToken}` }, { ca: at.tls.ca });
  const agent = new Agent({ allowH2: false, connect: { ca: at.tls.ca } });
  const namespace = '/api/v1/namespaces/default';

  return {
    dir,
    plane,
    rest,
    async restartKubelet() {
      await kubelet.close();
      kubelet = await start();
    },
    create: (kind: string, name: string, body: object) =>
      rest('POST', `${namespace}/${kind}`, Anything, { metadata: { name }, ...body }),
    /** Makes a pod of one container that runs a script of sh, unless `spec` says otherwise. */
    pod: (
      name: string,
      script: string,
      { container = {}, ...spec }: { container?: object; [key: string]: unknown } = {},
    ) =>
      rest('POST', `${namespace}/pods`, Anything, {
        metadata: { name },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 30,
          containers: [{ name: 'main', image: 'any', command: ['/bin/sh', '-c', script], ...container }],
          ...spec,
        },
      }),
    /** The pod once it is as `look` wants it; looks again and again, without end: the test's own limit holds. */
    async until(name: string, look: (pod: Seen) => boolean): Promise<Seen> {
      for (;;) {
        const pod = await rest('GET', `${namespace}/pods/${name}`, Seen);
        if (look(pod)) return pod;
        await new Promise((next) => setTimeout(next, 50));
      }
    },
    gone: (kind: string, name: string) =>
      rest('GET', `${namespace}/${kind}/${name}`, Anything).then(
        () => false,
        () => true,
      ),
    patch: (kind: string, name: string, body: object) =>
      rest('PATCH', `${namespace}/${kind}/${name}`, Anything, body, 'application/merge-patch+json'),
    remove: (kind: string, name: string) => rest('DELETE', `${namespace}/${kind}/${name}`, Anything),
    /** Answer of the API server to `pods/log`; text of a stream that ends. */
    async log(name: string, query = '') {
      const answer = await request(`${at.url}${namespace}/pods/${name}/log${query}`, {
        dispatcher: agent,
        headers: { authorization: `Bearer ${at.adminToken}` },
      });
      return { code: answer.statusCode, text: await answer.body.text() };
    },
    async close() {
      await agent.close();
      await kubelet.close();
      for (const program of programs.toReversed()) await program.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
