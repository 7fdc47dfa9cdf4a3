/** Kubernetes objects as the imitation keeps them: loosely typed, because clients may send any field. */

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFields {
  manager: string;
  operation: 'Update' | 'Apply';
  apiVersion: string;
  time: string;
  fieldsType: 'FieldsV1';
  fieldsV1: Record<string, unknown>;
  subresource?: string;
}

export interface Metadata {
  name: string;
  namespace?: string;
  generateName?: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFields[];
}

/** A stored object. Frozen: whoever wants to change it asks the store. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
  [field: string]: unknown;
}

/** What a client may send for creation: the server fills in the rest. */
export interface Draft {
  metadata?: Partial<Metadata>;
  [field: string]: unknown;
}

/** Names one object; `namespace` is absent for cluster-scoped kinds. */
export interface Reference {
  namespace?: string | undefined;
  name: string;
}

export interface Resource {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  namespaced: boolean;
  shortNames: readonly string[];
  /** Subresources besides the object itself. */
  parts: readonly ('status' | 'log' | 'token')[];
  /** Built into the API server (JSON patch types differ from those of custom resources). */
  builtin: boolean;
}

const core = { group: '', version: 'v1', builtin: true, parts: [] } as const;
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1', namespaced: true, builtin: true, parts: [] } as const;
const tekton = { group: 'tekton.dev', version: 'v1', namespaced: true, builtin: false } as const;

/** Everything this API server knows (konflux-and-gitlab.md §6.1 point 11). */
export const RESOURCES = {
  namespaces: {
    ...core,
    plural: 'namespaces',
    singular: 'namespace',
    kind: 'Namespace',
    namespaced: false,
    shortNames: ['ns'],
  },
  pods: {
    ...core,
    plural: 'pods',
    singular: 'pod',
    kind: 'Pod',
    namespaced: true,
    shortNames: ['po'],
    parts: ['status', 'log'],
  },
  secrets: { ...core, plural: 'secrets', singular: 'secret', kind: 'Secret', namespaced: true, shortNames: [] },
  events: { ...core, plural: 'events', singular: 'event', kind: 'Event', namespaced: true, shortNames: ['ev'] },
  configmaps: {
    ...core,
    plural: 'configmaps',
    singular: 'configmap',
    kind: 'ConfigMap',
    namespaced: true,
    shortNames: ['cm'],
  },
  serviceaccounts: {
    ...core,
    plural: 'serviceaccounts',
    singular: 'serviceaccount',
    kind: 'ServiceAccount',
    namespaced: true,
    shortNames: ['sa'],
    parts: ['token'],
  },
  roles: { ...rbac, plural: 'roles', singular: 'role', kind: 'Role', shortNames: [] },
  rolebindings: { ...rbac, plural: 'rolebindings', singular: 'rolebinding', kind: 'RoleBinding', shortNames: [] },
  pipelineruns: {
    ...tekton,
    plural: 'pipelineruns',
    singular: 'pipelinerun',
    kind: 'PipelineRun',
    shortNames: ['pr', 'prs'],
    parts: ['status'],
  },
  taskruns: {
    ...tekton,
    plural: 'taskruns',
    singular: 'taskrun',
    kind: 'TaskRun',
    shortNames: ['tr', 'trs'],
    parts: ['status'],
  },
  repositories: {
    group: 'pipelinesascode.tekton.dev',
    version: 'v1alpha1',
    builtin: false,
    plural: 'repositories',
    singular: 'repository',
    kind: 'Repository',
    namespaced: true,
    shortNames: ['repo'],
    parts: [],
  },
} as const satisfies Record<string, Resource>;

/** `pipelineruns.tekton.dev`, or the plain plural for the core group: how the server names a resource in its texts. */
export function qualifiedName(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

/** `tekton.dev/v1`, or `v1` for the core group. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The server's time format: UTC, whole seconds. */
export function timestamp(date: Date = new Date()): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Freezes a value and all it holds, so that readers of the store cannot change what others read. */
export function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
