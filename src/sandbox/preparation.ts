import { loadConfig } from '../config/load.ts';
import type { ProposalKind } from '../config/schema.ts';
import type { RepositoryKind } from '../onboarding/content.ts';
import type { Preparation } from '../onboarding/preparation.ts';
import type { Layout } from './layout.ts';
import { NAMESPACE } from './service-files.ts';
import { ACCESS_FILES, BOT, PIPELINES_USER, SERVICE_ACCOUNT } from './tenant.ts';

/** Any image will do: the cluster of a sandbox runs steps with the programs of this machine. */
const BUILDER_IMAGE = 'localhost/indexwright:latest';

/**
 * What a repository of the sandbox is prepared by: the same as anywhere else, with the addresses and secrets of this one.
 *
 * @param of.project `group/name`
 * @param of.builds repository below `builds/` that its pipelines push to
 * @param of.namespace where they run; the sandbox's own when absent
 */
export function preparationIn(
  { path, identity }: Layout,
  of: {
    kind: RepositoryKind;
    project: string;
    branch: string;
    builds: string;
    namespace?: string | undefined;
    proposal?: ProposalKind | undefined;
  },
): Preparation {
  const { registry, cluster } = loadConfig(path('config.yaml'), {});
  const file = (name: keyof typeof ACCESS_FILES) => path('secrets', ACCESS_FILES[name]);
  return {
    kind: of.kind,
    proposal: of.proposal ?? 'merge-request',
    branches: [of.branch],
    gitlab: {
      url: `http://127.0.0.1:${identity.ports.gitlab}`,
      tokenFile: path('gitlab', 'admin-token'),
      project: of.project,
      members: [BOT, PIPELINES_USER],
    },
    cluster: {
      url: cluster.url,
      tokenFile: file('clusterAdmin'),
      caFile: cluster.caFile,
      namespace: of.namespace ?? NAMESPACE,
      worker: { namespace: NAMESPACE, name: SERVICE_ACCOUNT },
    },
    pipeline: {
      variant: 'tekton',
      hookUrl: `http://127.0.0.1:${identity.ports.pipelinesAsCode}`,
      hookSecretFile: file('hook'),
      gitlabTokenFile: file('pipelinesGitLab'),
      registryConfigFile: file('pipelinesRegistry'),
    },
    build: { output: `${registry.output}/builds/${of.builds}`, image: BUILDER_IMAGE, insecure: registry.insecure },
  };
}
