import type { Call } from './call.ts';
import { apiVersionOf, RESOURCES, type Resource } from './object.ts';

export const SERVER_VERSION = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.3',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'go1.26',
  compiler: 'gc',
  platform: 'linux/amd64',
};

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const PART_VERBS = { status: ['get', 'patch', 'update'], log: ['get'], token: ['create'] };
const all: Resource[] = Object.values(RESOURCES);
const groupVersions = [...new Set(all.map(apiVersionOf))];
const groups = [...new Set(all.filter(({ group }) => group !== '').map(({ group }) => group))].map((name) => {
  const versions = groupVersions
    .filter((groupVersion) => groupVersion.startsWith(`${name}/`))
    .map((groupVersion) => ({ groupVersion, version: groupVersion.split('/')[1] }));
  return { name, versions, preferredVersion: versions[0] };
});

const resourceList = (groupVersion: string) => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: all
    .filter((resource) => apiVersionOf(resource) === groupVersion)
    .flatMap((resource) => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: VERBS,
        shortNames: resource.shortNames,
      },
      ...resource.parts.map((part) => ({
        name: `${resource.plural}/${part}`,
        singularName: '',
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: PART_VERBS[part],
      })),
    ]),
});

/** What a client asks before it asks anything else: `/api`, `/apis`, resource lists, version, health. Undefined: no such path. */
export function discover({ path }: Call): unknown {
  const trimmed = path.replace(/\/$/, '');
  if (trimmed === '/version') return SERVER_VERSION;
  if (/^\/(healthz|livez|readyz)/.test(trimmed)) return 'ok';
  if (trimmed === '/api') {
    return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  }
  if (trimmed === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups };
  if (trimmed === '/openapi/v2') {
    return {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: SERVER_VERSION.gitVersion },
      paths: {},
      definitions: {},
    };
  }
  if (trimmed === '/openapi/v3') return { paths: {} };
  const groupVersion = /^\/(?:api|apis)\/(.+)$/.exec(trimmed)?.[1];
  if (groupVersion !== undefined && groupVersions.includes(groupVersion)) return resourceList(groupVersion);
  const group = groups.find(({ name }) => name === groupVersion);
  return group === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...group };
}
