import { z } from 'zod';
import type { Layout } from './layout.ts';
import { restClient } from './rest.ts';

/** All that others can see of a sandbox's indexes: two equal photographs mean that nothing was left behind. */
export interface Photograph {
  /** `project branch` → commit. */
  branches: Record<string, string>;
  /** `project !iid` of merge requests that are open. */
  openMergeRequests: string[];
  /** `repository:tag` → digest, artifacts included; what pipelines built for themselves is theirs and left out. */
  tags: Record<string, string>;
}

/** Repositories pipelines push to: nothing of ours is published there. */
const PIPELINES_OWN = /^builds\//;

const Projects = z.array(z.object({ id: z.number(), path_with_namespace: z.string() }));
const Branches = z.array(z.object({ name: z.string(), commit: z.object({ id: z.string() }) }));
const MergeRequests = z.array(z.object({ iid: z.number() }));
const Repositories = z.object({ repositories: z.array(z.string()) });
const Tags = z.object({ tags: z.array(z.string()).nullable() });

/** Takes one, by the public APIs of GitLab and the registry. */
export async function photograph(layout: Layout, gitlabToken: string): Promise<Photograph> {
  const { ports, registryUsers } = layout.identity;
  const gitlab = restClient(`http://127.0.0.1:${ports.gitlab}/api/v4`, { 'private-token': gitlabToken });
  const branches: Photograph['branches'] = {};
  const openMergeRequests: string[] = [];
  for (const { id, path_with_namespace: path } of await gitlab('GET', '/projects?per_page=100', Projects)) {
    for (const { name, commit } of await gitlab('GET', `/projects/${id}/repository/branches?per_page=100`, Branches)) {
      branches[`${path} ${name}`] = commit.id;
    }
    const open = await gitlab('GET', `/projects/${id}/merge_requests?state=opened&per_page=100`, MergeRequests);
    openMergeRequests.push(...open.map(({ iid }) => `${path} !${iid}`));
  }

  const base = `http://127.0.0.1:${ports.registry}/v2`;
  const auth = Buffer.from(`service:${registryUsers.service}`).toString('base64');
  const headers = { authorization: `Basic ${auth}` };
  const registry = restClient(base, headers);
  const tags: Photograph['tags'] = {};
  const { repositories } = await registry('GET', '/_catalog?n=1000', Repositories);
  for (const repository of repositories.filter((name) => !PIPELINES_OWN.test(name))) {
    const { tags: names } = await registry('GET', `/${repository}/tags/list`, Tags).catch(() => ({ tags: null }));
    for (const tag of names ?? []) {
      const digest = await digestOf(`${base}/${repository}/manifests/${tag}`, headers);
      if (digest !== null) tags[`${repository}:${tag}`] = digest;
    }
  }
  return { branches, openMergeRequests, tags };
}

async function digestOf(url: string, headers: Record<string, string>): Promise<string | null> {
  const accept = [
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
  ].join(', ');
  const answer = await fetch(url, { method: 'HEAD', headers: { ...headers, accept } });
  return answer.status === 200 ? answer.headers.get('docker-content-digest') : null;
}
