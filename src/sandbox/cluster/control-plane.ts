import { join } from 'node:path';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { Failure } from '../../errors/failure.ts';
import { Anything, restClient } from '../rest.ts';
import type { ClusterIdentity } from './identity.ts';
import { type ClusterProgram, type ClusterTools, program } from './programs.ts';

export interface ControlPlane {
  etcd: ClusterProgram;
  apiServer: ClusterProgram;
  controllerManager: ClusterProgram;
}

/** Controllers a test cluster needs: accounts with their tokens, what is owned goes with its owner, namespaces end. */
const CONTROLLERS = [
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'root-ca-certificate-publisher-controller',
  'garbage-collector-controller',
  'namespace-controller',
];

/** Describes etcd, kube-apiserver and kube-controller-manager, to be started in this order; nothing runs yet. */
export function controlPlane(at: ClusterIdentity, tools: ClusterTools, logs: (name: string) => string): ControlPlane {
  const file = join(tools.kubernetes, 'testcluster');
  const etcdUrl = `http://127.0.0.1:${at.etcd}`;
  const peerUrl = `http://127.0.0.1:${at.etcdPeer}`;
  const etcd = restClient(etcdUrl, {});
  const admin = restClient(at.url, { authorization: `Bearer ${at.adminToken}` }, { ca: at.tls.ca });
  return {
    etcd: program({
      name: 'etcd',
      file,
      args: flags('etcd', {
        'data-dir': join(at.dir, 'etcd'),
        'listen-client-urls': etcdUrl,
        'advertise-client-urls': etcdUrl,
        'listen-peer-urls': peerUrl,
        'initial-advertise-peer-urls': peerUrl,
        'initial-cluster': `default=${peerUrl}`,
        'unsafe-no-fsync': 'true',
      }),
      log: logs('etcd'),
      ready: () => etcd('GET', '/health', z.object({ health: z.literal('true') })),
    }),
    apiServer: program({
      name: 'kube-apiserver',
      file,
      args: flags('kube-apiserver', {
        'etcd-servers': etcdUrl,
        'bind-address': '127.0.0.1',
        'advertise-address': '127.0.0.1',
        'endpoint-reconciler-type': 'none',
        'secure-port': `${at.apiPort}`,
        'tls-cert-file': at.files.certificate,
        'tls-private-key-file': at.files.key,
        'client-ca-file': at.tls.caFile,
        'token-auth-file': at.files.tokens,
        'service-account-issuer': 'https://kubernetes.default.svc',
        'service-account-key-file': at.files.accountPublicKey,
        'service-account-signing-key-file': at.files.accountKey,
        'service-cluster-ip-range': '10.0.0.0/24',
        'authorization-mode': 'RBAC',
        'allow-privileged': 'true',
      }),
      log: logs('kube-apiserver'),
      ready: async () => {
        await readRoles(at);
        await admin('GET', '/api/v1/namespaces/kube-system', Anything);
      },
    }),
    controllerManager: program({
      name: 'kube-controller-manager',
      file,
      args: flags('kube-controller-manager', {
        kubeconfig: at.kubeconfig,
        'service-account-private-key-file': at.files.accountKey,
        'root-ca-file': at.tls.caFile,
        'leader-elect': 'false',
        'secure-port': '0',
        'bind-address': '127.0.0.1',
        controllers: CONTROLLERS.join(','),
      }),
      log: logs('kube-controller-manager'),
      ready: () => admin('GET', '/api/v1/namespaces/default/serviceaccounts/default', Anything),
    }),
  };
}

/** Passes once the server has read what it decides by: before, it refuses everybody but the administrator (403). */
async function readRoles({ url, adminToken, tls }: ClusterIdentity): Promise<void> {
  const agent = new Agent({ connect: { ca: tls.ca } });
  try {
    const answer = await request(`${url}/readyz`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${adminToken}` },
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Failure('process_failed', text);
  } finally {
    await agent.destroy();
  }
}

function flags(command: string, values: Record<string, string>): string[] {
  return [command, ...Object.entries(values).map(([name, value]) => `--${name}=${value}`)];
}
