import { z } from 'zod';
import type { Access } from './access.ts';
import { needVersion, readDraft } from './body.ts';
import type { Call } from './call.ts';
import { discover } from './discovery.ts';
import { list } from './listing.ts';
import type { PodLogs } from './logs.ts';
import { type Draft, type KubeObject, type Resource, timestamp } from './object.ts';
import { applyPatch } from './patch.ts';
import { badRequest, Refusal } from './refusal.ts';
import { type Removal, referenceOf, type Store } from './store.ts';

export interface Answer {
  code: number;
  json?: unknown;
  text?: string;
  headers?: Record<string, string>;
  stream?: (signal: AbortSignal) => AsyncIterable<Buffer>;
}

interface World {
  store: Store;
  logs: PodLogs;
  access: Access;
  user: string;
}

const DeleteOptions = z.object({
  preconditions: z.object({ uid: z.string().optional(), resourceVersion: z.string().optional() }).optional(),
  propagationPolicy: z.enum(['Background', 'Foreground', 'Orphan']).optional(),
});

/** Answers everything but watches. @throws Refusal */
export function answer(world: World, call: Call, body: string, contentType: string | undefined): Answer {
  const { resource } = call;
  if (!resource) return outside(world, call, body);
  if (call.part !== undefined && !(resource.parts as readonly string[]).includes(call.part)) throw nowhere();
  if (call.part === 'log') return podLog(world, call, resource);
  if (call.part === 'token') return tokenRequest(world, call);
  const writer = { manager: world.user, part: call.part === 'status' ? ('status' as const) : ('object' as const) };
  const reference = { namespace: resource.namespaced ? call.namespace : undefined, name: call.name ?? '' };
  const { store } = world;
  switch (call.verb) {
    case 'get':
      return { code: 200, json: store.get(resource, reference) };
    case 'list':
      return { code: 200, json: list(store, resource, call) };
    case 'create': {
      const draft = readDraft(resource, body, contentType, call.query.get('fieldValidation'));
      const named = resource.namespaced
        ? { ...draft, metadata: { ...draft.metadata, namespace: namespaceOf(draft, call) } }
        : draft;
      return { code: 201, json: store.create(resource, named, writer) };
    }
    case 'update': {
      const draft = readDraft(resource, body, contentType, call.query.get('fieldValidation'));
      needVersion(resource, reference.name, draft);
      return { code: 200, json: store.replace(resource, reference, draft, writer) };
    }
    case 'patch':
      return patch(store, resource, reference, body, contentType ?? '', writer);
    case 'delete':
      return removed(resource, store.remove(resource, reference, removalOf(call, body)));
    case 'deletecollection': {
      const { items } = list(store, resource, call) as { items: KubeObject[] };
      for (const object of items) store.remove(resource, referenceOf(object), removalOf(call, body));
      return { code: 200, json: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' } };
    }
    default:
      throw new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
  }
}

const nowhere = () => new Refusal(404, 'NotFound', 'the server could not find the requested resource', {});

function outside({ access, user }: World, call: Call, body: string): Answer {
  if (call.path.endsWith('/selfsubjectaccessreviews') && call.method === 'POST') return review(access, user, body);
  const found = call.method === 'GET' ? discover(call) : undefined;
  if (found === undefined) return { code: 404, text: '404 page not found\n' };
  return typeof found === 'string' ? { code: 200, text: found } : { code: 200, json: found };
}

const AccessReview = z.looseObject({
  spec: z.looseObject({
    resourceAttributes: z.object({
      verb: z.string(),
      group: z.string().default(''),
      resource: z.string(),
      subresource: z.string().default(''),
      namespace: z.string().optional(),
    }),
  }),
});

/** `kubectl auth can-i` asks this. */
function review(access: Access, user: string, body: string): Answer {
  const asked = AccessReview.parse(JSON.parse(body));
  const { verb, group, resource, subresource, namespace } = asked.spec.resourceAttributes;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const allowed = user !== 'system:anonymous' && access.allows(user, verb, group, full, namespace || undefined);
  return { code: 201, json: { ...asked, status: { allowed } } };
}

/** As long as tokens last here: until their account goes. Years. */
const TOKEN_YEARS = 10;

function tokenRequest({ access }: World, { verb, namespace = '', name = '' }: Call): Answer {
  if (verb !== 'create') throw nowhere();
  const expires = new Date();
  expires.setFullYear(expires.getFullYear() + TOKEN_YEARS);
  const status = { token: access.tokenFor(namespace, name), expirationTimestamp: timestamp(expires) };
  const metadata = { name, namespace, creationTimestamp: timestamp() };
  return { code: 201, json: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata, status } };
}

function namespaceOf(draft: Draft, { namespace }: Call): string {
  const own = draft.metadata?.namespace;
  if (own && namespace && own !== namespace) {
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  }
  return own ?? namespace ?? '';
}

function patch(
  store: Store,
  resource: Resource,
  reference: { namespace?: string | undefined; name: string },
  body: string,
  contentType: string,
  writer: { manager: string; part: 'object' | 'status' },
): Answer {
  const current = store.find(resource, reference);
  if (!current && contentType.startsWith('application/apply-patch')) {
    const draft = applyPatch({}, contentType, body, resource) as Draft;
    return {
      code: 201,
      json: store.create(resource, { ...draft, metadata: { ...draft.metadata, ...reference } as never }, writer),
    };
  }
  const before = store.get(resource, reference);
  const next = applyPatch(before, contentType, body, resource) as Draft;
  // A patch that names no version of its own means "whatever is there now".
  return { code: 200, json: store.replace(resource, reference, next, writer) };
}

function removalOf({ query }: Call, body: string): Removal {
  const options = body === '' ? {} : DeleteOptions.parse(JSON.parse(body));
  const asked = z.enum(['Background', 'Foreground', 'Orphan']).safeParse(query.get('propagationPolicy'));
  return { ...options.preconditions, propagation: options.propagationPolicy ?? asked.data };
}

function removed(resource: Resource, object: KubeObject): Answer {
  const { name, uid, finalizers } = object.metadata;
  if (finalizers?.length || resource.builtin) return { code: 200, json: object };
  const details = { name, group: resource.group, kind: resource.plural, uid };
  return { code: 200, json: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

function podLog({ store, logs }: World, call: Call, resource: Resource): Answer {
  const pod = store.get(resource, { namespace: call.namespace, name: call.name ?? '' });
  const containers = z
    .object({ containers: z.array(z.object({ name: z.string() })) })
    .parse(pod.spec)
    .containers.map(({ name }) => name);
  const asked = call.query.get('container') ?? (containers.length === 1 ? containers[0] : undefined);
  const { name, uid } = pod.metadata;
  if (asked === undefined) {
    throw badRequest(`a container name must be specified for pod ${name}, choose one of: [${containers.join(' ')}]`);
  }
  if (!containers.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
  if (call.query.get('previous') === 'true') {
    throw badRequest(`previous terminated container "${asked}" in pod "${name}" not found`);
  }
  const number = (key: string) => (call.query.has(key) ? Number(call.query.get(key)) : undefined);
  const content = logs.read(uid, asked, { tailLines: number('tailLines'), limitBytes: number('limitBytes') });
  if (content === undefined) {
    throw badRequest(`container "${asked}" in pod "${name}" is waiting to start: PodInitializing`);
  }
  if (call.query.get('follow') === 'true') return { code: 200, stream: (signal) => logs.follow(uid, asked, signal) };
  return { code: 200, text: content.toString() };
}
