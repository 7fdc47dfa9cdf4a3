import { readFileSync } from 'node:fs';
import { readSecretFile } from '../config/secret-file.ts';
import { Failure } from '../errors/failure.ts';
import { applyTo, type Manifest } from './apply.ts';
import { pushBranchContent } from './branch.ts';
import { fillBranch } from './content.ts';
import type { Preparation } from './preparation.ts';
import { ensureProject, type Project, type ProjectWanted } from './project.ts';
import { type Rest, restClient } from './rest.ts';
import { projectSettings } from './settings.ts';
import { GITLAB_SECRET, REGISTRY_SECRET, repositoryObject, secretOf, tenantObjects } from './tenant.ts';

/** Who applied: fields of objects are this name's in `managedFields`. */
const FIELD_MANAGER = 'indexwright-catalog-prepare';

/**
 * Makes everything a repository needs before the first request, and brings it up to date where it is there already: the
 * tenant's namespace, the GitLab project, the Repository object, the branches. Each part may be repeated.
 *
 * @param report told what is there now, a line for each part, and which settings of the project are not as recommended
 * @param settings whether to `set` those, too
 * @returns the project's URL
 * @throws Failure of GitLab (`gitlab_refused`, `gitlab_unavailable`, `push_refused`), of the cluster (`kubernetes_denied`,
 *   `kubernetes_unavailable`), `configuration_invalid` for a file that cannot be read
 */
export async function prepareRepository(
  wanted: Preparation,
  report: (line: string) => void,
  settings: 'check' | 'set' = 'check',
): Promise<string> {
  const { gitlab, cluster, pipeline, build, kind, proposal, branches } = wanted;
  const token = readSecretFile(gitlab.tokenFile, 'the GitLab token');
  const apply = applyTo(clusterClient(cluster), FIELD_MANAGER);

  for (const object of tenantOf(wanted)) {
    await apply(object);
    report(`${object.kind} ${object.metadata.name} in the cluster`);
  }
  const api = gitlabClient(gitlab.url, token);
  const project = await ensureProject(api, projectOf(wanted));
  report(`project ${project.webUrl}`);
  // Without merge requests none of them matters.
  if (proposal === 'merge-request') for (const line of await projectSettings(api, project.id, settings)) report(line);
  const repository = repositoryOf(wanted, project);
  await apply(repository);
  report(`Repository ${repository.metadata.name} in the cluster`);

  for (const branch of branches) {
    const commit = await pushBranchContent(project.webUrl, {
      branch,
      token,
      message: `Build ${kind}s by indexwright`,
      fill: (dir) => fillBranch(dir, { kind, variant: pipeline.variant, proposal }),
    });
    report(`branch ${branch} at ${commit}`);
  }
  report(`pipelines push to ${build.output}`);
  return project.webUrl;
}

/** GitLab's REST API with a token; redirects are not followed, they would take the token along. */
export function gitlabClient(url: string, token: string): Rest {
  return restClient(`${url.replace(/\/+$/, '')}/api/v4`, {
    headers: { 'private-token': token },
    codes: { refused: 'gitlab_refused', unavailable: 'gitlab_unavailable' },
  });
}

/** A cluster's API with the token and authority of these files. */
export function clusterClient({ url, tokenFile, caFile }: { url: string; tokenFile: string; caFile: string }): Rest {
  const token = readSecretFile(tokenFile, 'the token for the cluster');
  return restClient(url.replace(/\/+$/, ''), {
    headers: { authorization: `Bearer ${token}` },
    ca: readText(caFile),
    codes: { refused: 'kubernetes_denied', unavailable: 'kubernetes_unavailable' },
  });
}

function tenantOf({ cluster, pipeline }: Preparation): Manifest[] {
  const { namespace, worker } = cluster;
  const objects = tenantObjects(namespace, worker);
  // Konflux makes the namespace, the accounts of pipelines and their secrets.
  if (pipeline.variant === 'konflux') return objects.filter(({ kind }) => kind.startsWith('Role'));
  const gitlab = {
    token: readSecretFile(pipeline.gitlabTokenFile, 'the GitLab token of Pipelines-as-Code'),
    webhook: readSecretFile(pipeline.hookSecretFile, 'the secret of the web hook'),
  };
  const registry = { 'config.json': readText(pipeline.registryConfigFile) };
  return [...objects, secretOf(namespace, GITLAB_SECRET, gitlab), secretOf(namespace, REGISTRY_SECRET, registry)];
}

function projectOf({ gitlab, pipeline }: Preparation): ProjectWanted {
  const { project: path, members } = gitlab;
  if (pipeline.variant === 'konflux') return { path, members };
  const token = readSecretFile(pipeline.hookSecretFile, 'the secret of the web hook');
  return { path, members, hook: { url: pipeline.hookUrl, token } };
}

function repositoryOf({ gitlab, cluster, pipeline, build }: Preparation, project: Project): Manifest {
  const { namespace } = cluster;
  const params = {
    output_image_repo: build.output,
    builder_image: build.image,
    // A variable without a value would stay as it is written.
    insecure_registries: build.insecure.join(',') || 'none',
  };
  if (pipeline.variant === 'konflux') {
    const { application, component, repository } = pipeline;
    const konflux = { konflux_application: application, konflux_component: component };
    return repositoryObject({ namespace, name: repository ?? component, params: { ...params, ...konflux } });
  }
  return repositoryObject({
    namespace,
    name: objectName(gitlab.project),
    params: { ...params, registry_secret: REGISTRY_SECRET },
    source: { gitlabUrl: gitlab.url, projectUrl: project.webUrl },
  });
}

/** `group/sub/Some_Name` as the name of an object: two projects of one name in different groups must not meet. */
function objectName(project: string): string {
  const name = project.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return name
    .replace(/^-+|-+$/g, '')
    .slice(-63)
    .replace(/^-+/, '');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Failure('configuration_invalid', `${path} cannot be read`, { cause });
  }
}
