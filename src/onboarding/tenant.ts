import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { Manifest } from './apply.ts';

const TENANT = resolve(import.meta.dirname, '../../manifests/tenant');

/** Secret with the credentials of pipelines for registries, key `config.json`. */
export const REGISTRY_SECRET = 'registry-push';
/** Secret with what Pipelines-as-Code needs for GitLab, keys `token` and `webhook`. */
export const GITLAB_SECRET = 'gitlab';

const PolicyRule = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  verbs: z.array(z.string()),
});
/** A rule of a Role. */
export type PolicyRule = z.infer<typeof PolicyRule>;

/** What the worker may do in a tenant's namespace: the rules of `manifests/tenant/worker-role.yaml`. */
export function workerPolicy(): PolicyRule[] {
  const [role] = objectsOf('worker-role.yaml');
  return z.object({ rules: z.array(PolicyRule) }).parse(role).rules;
}

/**
 * The objects of `manifests/tenant` for a namespace: itself, the ServiceAccount of pipelines, what the worker may do.
 *
 * @param worker the ServiceAccount the worker runs as
 */
export function tenantObjects(namespace: string, worker: { namespace: string; name: string }): Manifest[] {
  const files = ['namespace.yaml', 'build-serviceaccount.yaml', 'worker-role.yaml', 'worker-rolebinding.yaml'];
  return files.flatMap(objectsOf).map((object) => {
    if (object.kind === 'Namespace') return { ...object, metadata: { ...object.metadata, name: namespace } };
    const placed = { ...object, metadata: { ...object.metadata, namespace } };
    return object.kind === 'RoleBinding' ? { ...placed, subjects: [{ kind: 'ServiceAccount', ...worker }] } : placed;
  });
}

/** A Secret with these texts. */
export function secretOf(namespace: string, name: string, texts: Record<string, string>): Manifest {
  const data = Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data: Object.fromEntries(data) };
}

export interface RepositoryOf {
  namespace: string;
  /** Name of the object. */
  name: string;
  /** Values for the variables of `tekton/`. */
  params: Record<string, string>;
  /** Where the project is; left out where somebody else has said so, as Konflux does. */
  source?: { gitlabUrl: string; projectUrl: string };
}

/**
 * The Repository object that tells Pipelines-as-Code about a project. `git_provider.url` is always written: without it
 * the watcher of Pipelines-as-Code now and then asks gitlab.com instead, final statuses do not come, and with a
 * concurrency limit its queue stands still (real-cluster.md §5.4).
 */
export function repositoryObject({ namespace, name, params, source }: RepositoryOf): Manifest {
  return {
    apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
    kind: 'Repository',
    metadata: { name, namespace },
    spec: {
      ...(source === undefined ? {} : gitProvider(source)),
      params: Object.entries(params).map(([key, value]) => ({ name: key, value })),
    },
  };
}

function gitProvider({ gitlabUrl, projectUrl }: { gitlabUrl: string; projectUrl: string }) {
  return {
    url: projectUrl,
    git_provider: {
      type: 'gitlab',
      url: gitlabUrl,
      secret: { name: GITLAB_SECRET, key: 'token' },
      webhook_secret: { name: GITLAB_SECRET, key: 'webhook' },
    },
  };
}

/** The objects of a file of `manifests/tenant`. @throws Failure `configuration_invalid` for one that is none */
function objectsOf(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(join(TENANT, file), 'utf8')).map((document) => {
    const parsed = Manifest.safeParse(document.toJS());
    if (parsed.success) return parsed.data;
    throw new Failure('configuration_invalid', `manifests/tenant/${file} holds something that is no object`);
  });
}
