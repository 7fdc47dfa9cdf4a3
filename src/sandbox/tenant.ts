import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { workerRules } from './kubernetes/access.ts';
import { type Layout, writePrivate } from './layout.ts';
import type { Parts } from './parts.ts';
import { Anything, type Rest, restClient } from './rest.ts';
import { dockerConfig, NAMESPACE } from './service-files.ts';

/** GitLab user the service acts as. */
export const BOT = 'indexwright';
/** GitLab user Pipelines-as-Code acts as. */
export const PIPELINES_USER = 'pipelines-as-code';
/** GitLab user of people who look at the sandbox; may review and merge. */
const PERSON = 'release-engineer';

const SERVICE_ACCOUNT = 'indexwright-worker';
const REGISTRY_SECRET = 'registry-push';
const GITLAB_SECRET = 'gitlab';

const Kubeconfig = z.object({
  clusters: z.array(z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.string() }) })),
  users: z.array(z.object({ user: z.object({ token: z.string() }) })),
});

/** The administrator's client of the sandbox's cluster; absolute API paths. */
export function clusterAdmin(layout: Layout): Rest {
  const { clusters, users } = Kubeconfig.parse(parse(readFileSync(layout.path('kubernetes', 'kubeconfig'), 'utf8')));
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) throw new Error('the kubeconfig of the sandbox names no cluster');
  const ca = Buffer.from(cluster['certificate-authority-data'], 'base64').toString('utf8');
  return restClient(cluster.server, { authorization: `Bearer ${user.token}` }, { ca });
}

/**
 * What a platform team sets up once for a tenant: GitLab users with tokens, the namespace with its secrets, the
 * worker's ServiceAccount with the rights it needs and no others. Kept once made.
 *
 * @returns the token people use in GitLab
 */
export async function ensureTenant(layout: Layout, parts: Parts): Promise<{ clientToken: string }> {
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
  const { token } = parts.kubernetes.now.access.serviceAccount(NAMESPACE, SERVICE_ACCOUNT, workerRules(NAMESPACE));
  writePrivate(path('secrets', 'kubernetes-token'), token);

  const cluster = clusterAdmin(layout);
  await ensure(cluster, '/api/v1/namespaces', { metadata: { name: NAMESPACE } });
  const docker = dockerConfig(parts.registry.now.host, 'pipeline', identity.registryUsers.pipeline);
  await ensure(cluster, `/api/v1/namespaces/${NAMESPACE}/secrets`, {
    metadata: { name: REGISTRY_SECRET },
    data: { 'config.json': base64(docker) },
  });
  await ensure(cluster, `/api/v1/namespaces/${NAMESPACE}/secrets`, {
    metadata: { name: GITLAB_SECRET },
    data: {
      token: base64(readFileSync(files[PIPELINES_USER], 'utf8')),
      webhook: base64(identity.webhookToken),
    },
  });
  return { clientToken: readFileSync(files[PERSON], 'utf8') };
}

/**
 * Tells Pipelines-as-Code about a catalog repository. `git_provider.url` is always written: without it the real
 * controller sometimes asks gitlab.com (real-cluster.md §5.4).
 */
export async function ensureRepositoryObject(
  cluster: Rest,
  of: { gitlabUrl: string; projectUrl: string; output: string; insecure: string[] },
): Promise<void> {
  const name = of.projectUrl.split('/').at(-1);
  await ensure(cluster, `/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/${NAMESPACE}/repositories`, {
    apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
    kind: 'Repository',
    metadata: { name },
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

interface Draft {
  metadata: { name: string | undefined };
  [field: string]: unknown;
}

async function ensure(cluster: Rest, collection: string, object: Draft): Promise<void> {
  const known = await cluster('GET', `${collection}/${object.metadata.name}`, Anything).catch(() => null);
  if (known === null) await cluster('POST', collection, Anything, object);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
