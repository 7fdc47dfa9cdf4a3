import { randomInt, randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { prepare } from './fields.ts';
import { type Change, History } from './history.ts';
import {
  apiVersionOf,
  type Draft,
  freeze,
  type KubeObject,
  type Metadata,
  RESOURCES,
  type Reference,
  type Resource,
  timestamp,
} from './object.ts';
import { Persistence } from './persistence.ts';
import { alreadyExists, conflict, invalid, notFound, preconditionFailed } from './refusal.ts';
import { validateMetadata } from './validation.ts';

/** What an admission webhook sees; it may change `object`, or throw a Refusal. */
export interface Review {
  operation: 'create' | 'update';
  resource: Resource;
  object: KubeObject;
  before: KubeObject | undefined;
}
export type Admission = (review: Review) => void;

export interface Writer {
  /** Name in `managedFields`. */
  manager?: string;
  /** Which half of an object with a status subresource is written. */
  part?: 'object' | 'status';
}

export interface Removal {
  uid?: string | undefined;
  resourceVersion?: string | undefined;
  propagation?: 'Background' | 'Foreground' | 'Orphan' | undefined;
}

export const keyOf = ({ namespace, name }: Reference) => `${namespace ?? ''}/${name}`;
export const referenceOf = ({ metadata }: KubeObject): Reference => ({
  namespace: metadata.namespace,
  name: metadata.name,
});

/**
 * The objects of the imitated cluster: optimistic concurrency, generated names, finalizers, owner references, a bounded
 * history, kept on disk (konflux-and-gitlab.md §6.1 points 11 and 12). Every write is told to the listeners in order.
 */
export class Store {
  readonly admission: Admission[] = [];
  readonly history: History;
  readonly #objects = new Map<Resource, Map<string, KubeObject>>();
  readonly #persistence: Persistence;
  readonly #events = new EventEmitter<{ change: [Change] }>();
  #version: number;
  #closed = false;

  constructor(file: string, { historyLength }: { historyLength: number }) {
    for (const resource of Object.values(RESOURCES)) this.#objects.set(resource, new Map());
    this.#persistence = new Persistence(file);
    const { version, objects } = this.#persistence.load();
    for (const { resource, object } of objects) this.#map(resource).set(keyOf(referenceOf(object)), freeze(object));
    this.#version = version;
    this.history = new History(version, historyLength);
    this.#events.setMaxListeners(0);
  }

  /** The version of the newest change; opaque to clients. */
  get version(): number {
    return this.#version;
  }

  /** Calls `listener` for every change from now on; the returned function ends it. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#events.on('change', listener);
    return () => void this.#events.off('change', listener);
  }

  find(resource: Resource, reference: Reference): KubeObject | undefined {
    return this.#map(resource).get(keyOf(reference));
  }

  /** @throws Refusal 404 */
  get(resource: Resource, reference: Reference): KubeObject {
    const found = this.find(resource, reference);
    if (!found) throw notFound(resource, reference);
    return found;
  }

  /** The objects in the server's order (namespace, then name), at an older version if asked. @throws Refusal 410 */
  list(resource: Resource, namespace?: string, version?: number): KubeObject[] {
    const now = this.#map(resource);
    const then = version === undefined || version === this.#version ? now : this.history.rewind(resource, now, version);
    return [...then.entries()]
      .filter(([key]) => namespace === undefined || key.startsWith(`${namespace}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** @throws Refusal 404 (no such namespace), 409 (exists), 422 (bad metadata), what admission throws */
  create(resource: Resource, draft: Draft, { manager = 'sandbox' }: Writer = {}): KubeObject {
    const wanted = draft.metadata ?? {};
    const { namespace } = wanted;
    if (resource.namespaced) this.get(RESOURCES.namespaces, { name: namespace ?? '' });
    const name = wanted.name || generated(wanted.generateName);
    if (!name) throw invalid(resource, '', 'metadata.name', undefined, 'name or generateName is required');
    if (this.find(resource, { namespace, name })) throw alreadyExists(resource, { name });
    const metadata: Metadata = {
      ...structuredClone(wanted),
      name,
      uid: randomUUID(),
      resourceVersion: '',
      generation: 1,
      creationTimestamp: timestamp(),
    };
    delete metadata.deletionTimestamp;
    const object = {
      ...structuredClone(draft),
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata,
    } as KubeObject;
    prepare(resource, object);
    if (resource.parts.includes('status') && !resource.builtin) delete object.status;
    validateMetadata(resource, metadata);
    for (const review of this.admission) review({ operation: 'create', resource, object, before: undefined });
    return this.#write('ADDED', resource, object, { manager, part: 'object' });
  }

  /**
   * Writes a whole object. An empty `resourceVersion` overwrites, any other must be the newest.
   *
   * @throws Refusal 404, 409 (changed since, other uid), 422, what admission throws
   */
  replace(
    resource: Resource,
    reference: Reference,
    next: Draft,
    { manager = 'sandbox', part = 'object' }: Writer = {},
  ): KubeObject {
    const before = this.get(resource, reference);
    const sent = next.metadata ?? {};
    if (sent.resourceVersion && sent.resourceVersion !== before.metadata.resourceVersion) {
      throw conflict(
        resource,
        reference,
        'the object has been modified; please apply your changes to the latest version and try again',
      );
    }
    if (sent.uid && sent.uid !== before.metadata.uid) {
      throw conflict(
        resource,
        reference,
        `Precondition failed: UID in precondition: ${sent.uid}, UID in object meta: ${before.metadata.uid}`,
      );
    }
    const object = merged(resource, before, structuredClone(next), part);
    validateMetadata(resource, object.metadata);
    for (const review of this.admission) review({ operation: 'update', resource, object, before });
    if (isDeepStrictEqual(object, before)) return before;
    if (!isDeepStrictEqual(object.spec, before.spec)) object.metadata.generation += 1;
    if (object.metadata.deletionTimestamp && !object.metadata.finalizers?.length) return this.#erase(resource, object);
    return this.#write('MODIFIED', resource, object, { manager, part });
  }

  /** Reads, lets `change` edit a copy, writes. @throws as `replace` */
  edit(resource: Resource, reference: Reference, change: (copy: KubeObject) => void, writer: Writer = {}): KubeObject {
    const copy = structuredClone(this.get(resource, reference));
    change(copy);
    return this.replace(resource, reference, copy, writer);
  }

  /**
   * Deletes. With finalizers the object first only gets its `deletionTimestamp` and goes when the last of them is taken
   * off (konflux-and-gitlab.md §2.4). What it owns follows a moment later.
   *
   * @throws Refusal 404, 409 (preconditions)
   */
  remove(resource: Resource, reference: Reference, { uid, resourceVersion, propagation }: Removal = {}): KubeObject {
    const before = this.get(resource, reference);
    if (uid && uid !== before.metadata.uid) {
      throw preconditionFailed(
        resource,
        reference,
        `the UID in the precondition (${uid}) does not match the UID in record (${before.metadata.uid}). The object might have been deleted and then recreated`,
      );
    }
    if (resourceVersion && resourceVersion !== before.metadata.resourceVersion) {
      throw preconditionFailed(
        resource,
        reference,
        `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${before.metadata.resourceVersion}). The object might have been modified`,
      );
    }
    if (propagation === 'Orphan') this.#orphan(before.metadata.uid);
    const object = structuredClone(before);
    object.metadata.deletionTimestamp ??= timestamp();
    object.metadata.deletionGracePeriodSeconds ??= 0;
    if (!object.metadata.finalizers?.length) return this.#erase(resource, object);
    if (before.metadata.deletionTimestamp) return before;
    return this.#write('MODIFIED', resource, object, { manager: 'sandbox', part: 'object' });
  }

  close(): void {
    this.#closed = true;
    this.#events.removeAllListeners();
    this.#persistence.close();
  }

  #map(resource: Resource): Map<string, KubeObject> {
    const map = this.#objects.get(resource);
    if (!map) throw new Error(`unknown resource ${resource.plural}`);
    return map;
  }

  #write(
    type: 'ADDED' | 'MODIFIED',
    resource: Resource,
    object: KubeObject,
    { manager, part }: Required<Writer>,
  ): KubeObject {
    const key = keyOf(referenceOf(object));
    const before = this.#map(resource).get(key);
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    object.metadata.managedFields = managed(object, before, manager, part);
    this.#map(resource).set(key, freeze(object));
    this.#persistence.put(this.#version, resource, key, object);
    this.#tell({ type, resource, key, object, before, version: this.#version });
    return object;
  }

  #erase(resource: Resource, object: KubeObject): KubeObject {
    const key = keyOf(referenceOf(object));
    const before = this.#map(resource).get(key);
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    this.#map(resource).delete(key);
    this.#persistence.drop(this.#version, resource, key);
    this.#tell({ type: 'DELETED', resource, key, object: freeze(object), before, version: this.#version });
    // The garbage collector of a cluster is a controller of its own: dependents go a moment later, not at once.
    setImmediate(() => this.#collect(resource, object));
    return object;
  }

  #tell(change: Change): void {
    this.history.record(change);
    this.#events.emit('change', change);
  }

  #collect(resource: Resource, gone: KubeObject): void {
    if (this.#closed) return;
    for (const [kind, objects] of this.#objects) {
      for (const object of [...objects.values()]) {
        const owned = object.metadata.ownerReferences?.some(({ uid }) => uid === gone.metadata.uid);
        const inside = resource === RESOURCES.namespaces && object.metadata.namespace === gone.metadata.name;
        if ((owned || inside) && this.find(kind, referenceOf(object))) this.remove(kind, referenceOf(object));
      }
    }
  }

  #orphan(uid: string): void {
    for (const [resource, objects] of this.#objects) {
      for (const object of [...objects.values()]) {
        if (!object.metadata.ownerReferences?.some((owner) => owner.uid === uid)) continue;
        this.edit(resource, referenceOf(object), ({ metadata }) => {
          metadata.ownerReferences = (metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
        });
      }
    }
  }
}

/** What an update may change: never identity; status only through its subresource and nothing else through it. */
function merged(resource: Resource, before: KubeObject, next: Draft, part: 'object' | 'status'): KubeObject {
  const hasStatus = resource.parts.includes('status');
  if (part === 'status') return { ...structuredClone(before), status: next.status } as KubeObject;
  const { uid, resourceVersion, creationTimestamp, name, generation, managedFields, deletionTimestamp } =
    before.metadata;
  const { namespace, generateName } = before.metadata;
  const metadata = {
    ...next.metadata,
    ...structuredClone({ name, uid, resourceVersion, generation, creationTimestamp }),
    ...(managedFields === undefined ? {} : { managedFields: structuredClone(managedFields) }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(generateName === undefined ? {} : { generateName }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  } as Metadata;
  const object = { ...next, apiVersion: before.apiVersion, kind: before.kind, metadata } as KubeObject;
  prepare(resource, object);
  if (hasStatus) {
    delete object.status;
    if (before.status !== undefined) object.status = structuredClone(before.status);
  }
  return object;
}

const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789';

function generated(base: string | undefined): string | undefined {
  if (!base) return undefined;
  const suffix = Array.from({ length: 5 }, () => SUFFIX[randomInt(SUFFIX.length)]).join('');
  return base.slice(0, 58) + suffix;
}

function managed(object: KubeObject, before: KubeObject | undefined, manager: string, part: 'object' | 'status') {
  const subresource = part === 'status' ? { subresource: 'status' } : {};
  const others = (before?.metadata.managedFields ?? []).filter(
    (entry) => entry.manager !== manager || entry.subresource !== subresource.subresource,
  );
  const touched = Object.keys(object).filter(
    (field) => !['apiVersion', 'kind'].includes(field) && (part === 'status' ? field === 'status' : field !== 'status'),
  );
  return [
    ...structuredClone(others),
    {
      manager,
      operation: 'Update' as const,
      apiVersion: object.apiVersion,
      time: timestamp(),
      fieldsType: 'FieldsV1' as const,
      fieldsV1: Object.fromEntries(touched.map((field) => [`f:${field}`, {}])),
      ...subresource,
    },
  ];
}
