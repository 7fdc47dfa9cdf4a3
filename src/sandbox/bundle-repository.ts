import { readFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { Failure } from '../errors/failure.ts';
import { ensureCatalogProject, pushBranchContent } from './catalog-repository.ts';
import type { Layout } from './layout.ts';
import { restClient } from './rest.ts';
import { BUNDLE_PROJECT } from './service-files.ts';
import { BOT, clusterAdmin, ensureRepositoryObject, PIPELINES_USER } from './tenant.ts';

const PROJECT_ROOT = resolve(import.meta.dirname, '../..');

/**
 * Makes the repository in which bundles are regenerated, as a team would set it up once: GitLab project with its hook,
 * Repository object for Pipelines-as-Code, the branch with `.tekton/`.
 */
export async function makeBundleRepository(layout: Layout): Promise<void> {
  const { path, identity } = layout;
  const { registry, bundleRepository } = loadConfig(path('config.yaml'));
  if (bundleRepository === undefined) throw new Failure('configuration_invalid', 'There is no bundleRepository');
  const gitlabUrl = `http://127.0.0.1:${identity.ports.gitlab}`;
  const token = readFileSync(path('gitlab', 'admin-token'), 'utf8').trim();
  const project = await ensureCatalogProject(restClient(`${gitlabUrl}/api/v4`, { 'private-token': token }), {
    path: BUNDLE_PROJECT,
    members: [BOT, PIPELINES_USER],
    hook: { url: `http://127.0.0.1:${identity.ports.pipelinesAsCode}`, token: identity.webhookToken },
  });
  await ensureRepositoryObject(clusterAdmin(layout), {
    gitlabUrl,
    projectUrl: project.webUrl,
    output: `${registry.output}/builds/regenerate-bundle`,
    insecure: registry.insecure,
  });
  await pushBranchContent(project, {
    branch: bundleRepository.branch,
    token,
    message: 'Build bundles',
    fill: async (dir) => {
      await rm(join(dir, '.tekton'), { recursive: true, force: true });
      await cp(join(PROJECT_ROOT, 'tekton', 'bundle'), join(dir, '.tekton'), { recursive: true });
    },
  });
}
