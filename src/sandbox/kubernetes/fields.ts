import { prune } from './known-fields.ts';
import { type KubeObject, RESOURCES, type Resource } from './object.ts';

/** What the server does to a kind's own fields on every write: what nobody knows goes, Secrets turn `stringData` into `data`, pods start Pending. */
export function prepare(resource: Resource, object: KubeObject): void {
  prune(resource, object);
  if (resource === RESOURCES.secrets) {
    const plain = (object.stringData ?? {}) as Record<string, string>;
    const encoded = Object.entries(plain).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    object.data = { ...(object.data as Record<string, string> | undefined), ...Object.fromEntries(encoded) };
    object.type ??= 'Opaque';
    delete object.stringData;
  }
  if (resource === RESOURCES.pods) object.status ??= { phase: 'Pending', qosClass: 'BestEffort' };
  if (resource === RESOURCES.namespaces) {
    object.spec ??= { finalizers: ['kubernetes'] };
    object.status ??= { phase: 'Active' };
    object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
  }
}

/** One key of a stored Secret, decoded; undefined when absent. */
export function secretValue(secret: KubeObject | undefined, key: string): string | undefined {
  const encoded = (secret?.data as Record<string, string> | undefined)?.[key];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString();
}
