import { arch } from 'node:os';
import { z } from 'zod';
import { timestamp } from '../../kubernetes/object.ts';
import type { Api } from './api.ts';
import { NODE } from './pod.ts';

const ARCHES: Readonly<Record<string, string>> = { x64: 'amd64' };

/**
 * Tells the API server of this machine: where its log server listens, and that it is ready.
 *
 * @throws Failure `kubernetes_unavailable`, `kubernetes_denied`
 */
export async function registerNode(api: Api, port: number): Promise<void> {
  const [architecture, version] = [ARCHES[arch()] ?? arch(), 'v1.36.3'];
  const labels = { 'kubernetes.io/hostname': NODE, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': architecture };
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE, labels } };
  await api.call('POST', '/api/v1/nodes', z.unknown(), { body: node, expected: [409] });
  const resources = { cpu: '64', memory: '256Gi', pods: '1000' };
  const now = timestamp();
  const status = {
    conditions: [
      { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: now, lastTransitionTime: now },
    ],
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
    nodeInfo: { kubeletVersion: version, operatingSystem: 'linux', architecture },
    capacity: resources,
    allocatable: resources,
  };
  await api.call('PATCH', `/api/v1/nodes/${NODE}/status`, z.unknown(), {
    body: { status },
    type: 'application/merge-patch+json',
  });
}
