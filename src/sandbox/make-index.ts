import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { loadConfig } from '../config/load.ts';
import { Failure } from '../errors/failure.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { type CatalogProject, ensureCatalogProject } from './catalog-repository.ts';
import { makeIndexImage } from './index-image.ts';
import type { Layout } from './layout.ts';
import { restClient } from './rest.ts';
import { BOT, clusterAdmin, ensureRepositoryObject, PIPELINES_USER } from './tenant.ts';

/**
 * Makes an index in a running sandbox from another process or the sandbox's own: GitLab project with its hook, the
 * Repository object for Pipelines-as-Code, catalog branch, artifact, image.
 *
 * @param index.ref `namespace/name:tag`, with or without the sandbox's registry in front
 * @returns the index by digest, and its repository
 */
export async function makeIndex(
  layout: Layout,
  { ref, ocp, bundles }: { ref: string; ocp: string; bundles: string[] },
): Promise<{ pullSpec: string; catalogRepoUrl: string }> {
  if (!/^v\d+\.\d+$/.test(ocp)) {
    throw new Failure('request_invalid', `The OCP version must look like v4.19, not "${ocp}"`);
  }
  const { path, identity } = layout;
  const config = loadConfig(path('config.yaml'));
  const { registry } = config;
  const full = ref.startsWith(`${registry.output}/`) ? ref : `${registry.output}/${ref}`;
  if (parsePullSpec(full).tag === undefined) throw new Failure('request_invalid', `${ref} has no tag`);

  const gitlabUrl = `http://127.0.0.1:${identity.ports.gitlab}`;
  const token = readFileSync(path('gitlab', 'admin-token'), 'utf8').trim();
  const gitlab = restClient(`${gitlabUrl}/api/v4`, { 'private-token': token });
  const project: CatalogProject = await ensureCatalogProject(gitlab, {
    path: `catalogs/${nameOf(full).split('/').slice(1).join('-')}`,
    members: [BOT, PIPELINES_USER],
    hook: { url: `http://127.0.0.1:${identity.ports.pipelinesAsCode}`, token: identity.webhookToken },
  });
  await ensureRepositoryObject(clusterAdmin(layout), {
    gitlabUrl,
    projectUrl: project.webUrl,
    output: `${registry.output}/builds/${project.webUrl.split('/').at(-1)}`,
    insecure: registry.insecure,
  });
  const pullSpec = await makeIndexImage(layout, {
    ref: full,
    ocp,
    bundles,
    binaryImage: z.string().parse(config.binaryImages.prod?.[ocp]),
    project,
    gitlabToken: token,
    serviceTokenFile: path('secrets', 'gitlab-token'),
  });
  return { pullSpec, catalogRepoUrl: project.webUrl };
}
