import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { tenantObjects } from '../onboarding/tenant.ts';
import { registerSecret } from '../telemetry/secrets.ts';
import { applyTo, type Manifest } from './apply.ts';
import { type Layout, writePrivate } from './layout.ts';
import type { AnyParts } from './parts.ts';
import { type Rest, restClient } from './rest.ts';
import { dockerConfig, NAMESPACE } from './service-files.ts';

/** GitLab user the service acts as. */
export const BOT = 'indexwright';
/** GitLab user Pipelines-as-Code acts as. */
export const PIPELINES_USER = 'pipelines-as-code';
/** GitLab user of people who look at the sandbox; may review and merge. */
const PERSON = 'release-engineer';

/** The worker's account in the cluster. */
export const SERVICE_ACCOUNT = 'indexwright-worker';
/** Files below `secrets/` that repositories are prepared with. */
export const ACCESS_FILES = {
  clusterAdmin: 'cluster-admin-token',
  hook: 'hook-secret',
  pipelinesGitLab: 'pipelines-gitlab-token',
  pipelinesRegistry: 'pipelines-registry.json',
} as const;

const Kubeconfig = z.object({
  clusters: z.array(z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.string() }) })),
  users: z.array(z.object({ user: z.object({ token: z.string() }) })),
});

/** Address, authority (PEM) and administrator's token of the sandbox's cluster, of whichever kind, from its kubeconfig. */
export function clusterAccess(layout: Layout): { server: string; ca: string; token: string } {
  const { clusters, users } = Kubeconfig.parse(parse(readFileSync(layout.path('kubernetes', 'kubeconfig'), 'utf8')));
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) throw new Error('the kubeconfig of the sandbox names no cluster');
  const ca = Buffer.from(cluster['certificate-authority-data'], 'base64').toString('utf8');
  return { server: cluster.server, ca, token: user.token };
}

/** The administrator's client of the sandbox's cluster; absolute API paths. */
export function clusterAdmin(layout: Layout): Rest {
  const { server, ca, token } = clusterAccess(layout);
  return restClient(server, { authorization: `Bearer ${token}` }, { ca });
}

/**
 * What a platform team sets up once: GitLab users with tokens, the worker's ServiceAccount with the rights it needs and
 * no others, and the files that repositories are prepared with. All of it by the protocols of GitLab and Kubernetes, so
 * it is the same for both kinds of cluster; safe to repeat.
 *
 * @returns the token people use in GitLab
 */
export async function ensureTenant(layout: Layout, parts: AnyParts): Promise<{ clientToken: string }> {
  const { path, identity } = layout;
  const gitlab = parts.gitlab.now;
  const files = {
    [BOT]: path('secrets', 'gitlab-token'),
    [PIPELINES_USER]: path('secrets', ACCESS_FILES.pipelinesGitLab),
    [PERSON]: path('secrets', 'person-gitlab-token'),
  };
  for (const [username, file] of Object.entries(files)) {
    if (!existsSync(file)) writePrivate(file, gitlab.createUser({ username, admin: username === PERSON }).token);
  }
  const cluster = clusterAdmin(layout);
  const apply = applyTo(cluster);
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  for (const object of workerAccount(NAMESPACE)) await apply(object);
  writePrivate(path('secrets', 'kubernetes-token'), await tokenOf(cluster, SERVICE_ACCOUNT));
  const docker = dockerConfig(parts.registry.now.host, 'pipeline', identity.registryUsers.pipeline);
  writePrivate(path('secrets', ACCESS_FILES.pipelinesRegistry), docker);
  writePrivate(path('secrets', ACCESS_FILES.hook), identity.webhookToken);
  writePrivate(path('secrets', ACCESS_FILES.clusterAdmin), clusterAccess(layout).token);
  return { clientToken: readFileSync(files[PERSON], 'utf8') };
}

/** The worker's ServiceAccount with what it may do in the tenant's namespace: the Role of `manifests/tenant`. */
export function workerAccount(namespace: string): Manifest[] {
  const metadata = { name: SERVICE_ACCOUNT, namespace };
  const objects = tenantObjects(namespace, metadata);
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    ...objects.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding'),
  ];
}

/** Seconds: longer than any sandbox is used without being started again. */
const TOKEN_LIFE = 90 * 24 * 3600;

/** A token of a service account in the tenant's namespace, good until the account goes. */
export async function tokenOf(cluster: Rest, account: string): Promise<string> {
  const TokenRequest = z.object({ status: z.object({ token: z.string() }) });
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${account}/token`;
  const asked = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: TOKEN_LIFE },
  };
  const { token } = (await cluster('POST', path, TokenRequest, asked)).status;
  registerSecret(token);
  return token;
}
