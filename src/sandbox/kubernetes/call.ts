import { apiVersionOf, RESOURCES, type Resource } from './object.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** One HTTP call, understood. Without a resource it is about discovery, health or nothing at all. */
export interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  verb: Verb | string;
  resource: Resource | undefined;
  namespace: string | undefined;
  name: string | undefined;
  part: string | undefined;
}

/** Reads method and target of a request the way the API server derives verb, resource, namespace and name from them. */
export function readCall(method: string, target: string): Call {
  const url = new URL(target, 'https://kubernetes');
  const { searchParams: query } = url;
  const base = { method, path: url.pathname, query };
  const [root, ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const apiVersion = root === 'api' ? rest.shift() : root === 'apis' ? rest.splice(0, 2).join('/') : undefined;
  // `namespaces/x/pods` is about pods in x, `namespaces/x` about x itself.
  const inside = rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status';
  const namespace = inside ? rest.splice(0, 2)[1] : undefined;
  const [plural, name, part] = rest;
  const resource = Object.values(RESOURCES).find(
    (candidate: Resource) => candidate.plural === plural && apiVersionOf(candidate) === apiVersion,
  );
  if (!resource) {
    return { ...base, verb: method.toLowerCase(), resource, namespace, name: undefined, part: undefined };
  }
  const scoped = resource === RESOURCES.namespaces ? (name ?? undefined) : namespace;
  return { ...base, verb: verbOf(method, name, query), resource, namespace: scoped, name: name || undefined, part };
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (name) return 'get';
      return ['1', 'true'].includes(query.get('watch') ?? '') ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name ? 'delete' : 'deletecollection';
    default:
      return method.toLowerCase();
  }
}
