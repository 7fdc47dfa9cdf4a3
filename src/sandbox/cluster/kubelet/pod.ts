import { z } from 'zod';

const KeyRef = z.object({ name: z.string(), key: z.string(), optional: z.boolean().default(false) });
const SourceRef = z.object({ name: z.string(), optional: z.boolean().default(false) });
const FieldRef = z.object({ fieldPath: z.string() });

const EnvVar = z.object({
  name: z.string(),
  value: z.string().default(''),
  valueFrom: z
    .object({
      fieldRef: FieldRef.optional(),
      secretKeyRef: KeyRef.optional(),
      configMapKeyRef: KeyRef.optional(),
    })
    .optional(),
});

const EnvFrom = z.object({
  prefix: z.string().default(''),
  secretRef: SourceRef.optional(),
  configMapRef: SourceRef.optional(),
});

const VolumeMount = z.object({
  name: z.string(),
  mountPath: z.string(),
  subPath: z.string().default(''),
  subPathExpr: z.string().optional(),
  readOnly: z.boolean().default(false),
});

/** Of a container, what a process without an image of its own can honour: no user, no limits, no ports, no probes. */
export const Container = z.object({
  name: z.string(),
  image: z.string().default(''),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  workingDir: z.string().optional(),
  env: z.array(EnvVar).default([]),
  envFrom: z.array(EnvFrom).default([]),
  volumeMounts: z.array(VolumeMount).default([]),
  terminationMessagePath: z.string().default('/dev/termination-log'),
});
export type Container = z.infer<typeof Container>;

const Item = z.object({ key: z.string(), path: z.string(), mode: z.number().optional() });
const Items = z.array(Item).optional();
const DownwardItem = z.object({ path: z.string(), mode: z.number().optional(), fieldRef: FieldRef.optional() });
const optional = z.boolean().default(false);

const Projection = z.object({
  secret: z.object({ name: z.string(), items: Items, optional }).optional(),
  configMap: z.object({ name: z.string(), items: Items, optional }).optional(),
  downwardAPI: z.object({ items: z.array(DownwardItem).default([]) }).optional(),
  serviceAccountToken: z
    .object({ path: z.string(), audience: z.string().optional(), expirationSeconds: z.number().default(3600) })
    .optional(),
});
/** One source of files, in the words of a projected volume. */
export type Projection = z.infer<typeof Projection>;

const defaultMode = z.number().default(0o644);

export const Volume = z.object({
  name: z.string(),
  hostPath: z.object({ path: z.string() }).optional(),
  persistentVolumeClaim: z.object({ claimName: z.string() }).optional(),
  projected: z.object({ sources: z.array(Projection).default([]), defaultMode }).optional(),
  secret: z.object({ secretName: z.string(), items: Items, optional, defaultMode }).optional(),
  configMap: z.object({ name: z.string(), items: Items, optional, defaultMode }).optional(),
  downwardAPI: z.object({ items: z.array(DownwardItem).default([]), defaultMode }).optional(),
});
export type Volume = z.infer<typeof Volume>;

const Terminated = z.object({
  exitCode: z.number(),
  reason: z.string().optional(),
  message: z.string().optional(),
  startedAt: z.string().optional(),
  finishedAt: z.string().optional(),
  containerID: z.string().optional(),
});
export const ContainerStatus = z.object({
  name: z.string(),
  image: z.string(),
  imageID: z.string(),
  containerID: z.string().optional(),
  ready: z.boolean(),
  started: z.boolean().optional(),
  restartCount: z.number(),
  state: z.object({
    waiting: z.object({ reason: z.string().optional(), message: z.string().optional() }).optional(),
    running: z.object({ startedAt: z.string() }).optional(),
    terminated: Terminated.optional(),
  }),
});
export type ContainerStatus = z.infer<typeof ContainerStatus>;

/** Of a pod, what the kubelet reads. */
export const Pod = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({
    nodeName: z.string().optional(),
    serviceAccountName: z.string().default('default'),
    volumes: z.array(Volume).default([]),
    initContainers: z.array(Container).default([]),
    containers: z.array(Container),
  }),
  status: z
    .object({
      phase: z.string().optional(),
      initContainerStatuses: z.array(ContainerStatus).optional(),
      containerStatuses: z.array(ContainerStatus).optional(),
    })
    .default({}),
});
export type Pod = z.infer<typeof Pod>;

export const NODE = 'sandbox';

/** Path of a pod in the API, or of one of its parts. */
export function podPath({ metadata }: Pod, part = ''): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}${part}`;
}

/** Whether the pod's last word has been said. */
export const isOver = ({ status }: Pod) => status.phase === 'Succeeded' || status.phase === 'Failed';

/** Value of a `fieldRef`; empty for fields a process on this machine has no value for. */
export function fieldOf({ metadata, spec }: Pod, fieldPath: string): string {
  const [, kind, key] = /^metadata\.(labels|annotations)(?:\['(.+)'\])?$/.exec(fieldPath) ?? [];
  if (kind === 'labels' || kind === 'annotations') {
    const map = metadata[kind];
    if (key !== undefined) return map[key] ?? '';
    const pairs = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
    return pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join('\n');
  }
  const fields: Record<string, string> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': NODE,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': '127.0.0.1',
    'status.hostIP': '127.0.0.1',
  };
  return fields[fieldPath] ?? '';
}
