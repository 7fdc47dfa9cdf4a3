import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
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
/** What the pipelines of tekton/ run as. */
const BUILD_ACCOUNT = 'indexwright-build';
const REGISTRY_SECRET = 'registry-push';
const GITLAB_SECRET = 'gitlab';

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
 * What a platform team sets up once for a tenant: GitLab users with tokens, the namespace with its secrets, the
 * worker's ServiceAccount with the rights it needs and no others. All of it by the protocols of GitLab and Kubernetes, so
 * it is the same for both kinds of cluster; safe to repeat.
 *
 * @returns the token people use in GitLab
 */
export async function ensureTenant(layout: Layout, parts: AnyParts): Promise<{ clientToken: string }> {
  const { path, identity } = layout;
  const gitlab = parts.gitlab.now;
  const files = {
    [BOT]: path('secrets', 'gitlab-token'),
    [PIPELINES_USER]: path('secrets', 'pipelines-gitlab-token'),
    [PERSON]: path('secrets', 'person-gitlab-token'),
  };
  for (const [username, file] of Object.entries(files)) {
    if (!existsSync(file)) writePrivate(file, gitlab.createUser({ username, admin: username === PERSON }).token);
  }
  const cluster = clusterAdmin(layout);
  const apply = applyTo(cluster);
  const docker = dockerConfig(parts.registry.now.host, 'pipeline', identity.registryUsers.pipeline);
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  for (const object of workerAccount(NAMESPACE)) await apply(object);
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: BUILD_ACCOUNT, namespace: NAMESPACE } });
  await apply(secret(REGISTRY_SECRET, { 'config.json': docker }));
  const webhook = identity.webhookToken;
  await apply(secret(GITLAB_SECRET, { token: readFileSync(files[PIPELINES_USER], 'utf8'), webhook }));
  writePrivate(path('secrets', 'kubernetes-token'), await tokenOf(cluster, SERVICE_ACCOUNT));
  return { clientToken: readFileSync(files[PERSON], 'utf8') };
}

/** The worker's ServiceAccount with what it needs to follow runs, cancel them and read the log of a failed step (konflux-and-gitlab.md §5). */
export function workerAccount(namespace: string): Manifest[] {
  const metadata = { name: SERVICE_ACCOUNT, namespace };
  const rbac = 'rbac.authorization.k8s.io';
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: ['tekton.dev'], resources: ['pipelineruns'], verbs: ['get', 'list', 'watch', 'patch'] },
        { apiGroups: ['tekton.dev'], resources: ['taskruns'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      subjects: [{ kind: 'ServiceAccount', name: SERVICE_ACCOUNT, namespace }],
      roleRef: { apiGroup: rbac, kind: 'Role', name: SERVICE_ACCOUNT },
    },
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

function secret(name: string, data: Record<string, string>): Manifest {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    data: Object.fromEntries(encoded),
  };
}

/**
 * Tells Pipelines-as-Code about a catalog repository. `git_provider.url` is always written: without it the real
 * controller sometimes asks gitlab.com (real-cluster.md §5.4).
 */
export async function ensureRepositoryObject(
  cluster: Rest,
  of: { gitlabUrl: string; projectUrl: string; output: string; insecure: string[] },
): Promise<void> {
  const name = of.projectUrl.split('/').at(-1) as string;
  await applyTo(cluster)({
    apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
    kind: 'Repository',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      url: of.projectUrl,
      git_provider: {
        type: 'gitlab',
        url: of.gitlabUrl,
        secret: { name: GITLAB_SECRET, key: 'token' },
        webhook_secret: { name: GITLAB_SECRET, key: 'webhook' },
      },
      params: [
        { name: 'output_image_repo', value: of.output },
        { name: 'insecure_registries', value: of.insecure.join(',') },
        { name: 'registry_secret', value: REGISTRY_SECRET },
        { name: 'builder_image', value: 'localhost/indexwright:latest' },
      ],
    },
  });
}
