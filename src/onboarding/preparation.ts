import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { ProposalKind } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';

const Name = z.string().min(1);

/** What `indexwright catalog prepare` is given (docs/catalog-repository.md); all paths may be relative to its file. */
export const Preparation = z.strictObject({
  /** What the repository is for. */
  kind: z.enum(['catalog', 'bundle']).default('catalog'),
  /** What starts its pipeline: `proposal` of the repository's entry in the service's configuration. */
  proposal: ProposalKind.default('merge-request'),
  /** Branches to make or bring up to date: OCP versions for a catalog. */
  branches: z.array(Name).min(1),
  gitlab: z.strictObject({
    url: z.url(),
    /** Token (scopes api and write_repository) of somebody who may make the project. */
    tokenFile: Name,
    /** `group/name`, `group/sub/name`; groups are made, too. */
    project: z.string().regex(/^[\w.-]+(\/[\w.-]+)+$/),
    /** User names that become Maintainers: the service's, and that of Pipelines-as-Code. */
    members: z.array(Name).default([]),
  }),
  cluster: z.strictObject({
    url: z.url(),
    /** Bearer token of somebody who may make the namespace and its objects. */
    tokenFile: Name,
    caFile: Name,
    /** The tenant's namespace, in which the pipelines run. */
    namespace: Name,
    /** The ServiceAccount of the service's worker. */
    worker: z
      .strictObject({ namespace: Name.default('indexwright'), name: Name.default('indexwright-worker') })
      .prefault({}),
  }),
  pipeline: z.discriminatedUnion('variant', [
    z.strictObject({
      variant: z.literal('tekton'),
      /** Where Pipelines-as-Code receives web hooks. */
      hookUrl: z.url(),
      /** Secret that GitLab sends with each of them. */
      hookSecretFile: Name,
      /** GitLab token (scope api) that Pipelines-as-Code reads `.tekton/` and posts statuses with. */
      gitlabTokenFile: Name,
      /** Docker configuration with which pipelines pull and push. */
      registryConfigFile: Name,
    }),
    z.strictObject({
      variant: z.literal('konflux'),
      application: Name,
      component: Name,
      /** Name of the Repository object that Konflux has made; the component's when absent. */
      repository: Name.optional(),
    }),
  ]),
  build: z.strictObject({
    /** registry/namespace/repository that pipelines push to. */
    output: Name,
    /** Image of the build step. */
    image: Name,
    /** Registries (host:port) spoken to over plain HTTP. */
    insecure: z.array(Name).default([]),
  }),
});
export type Preparation = z.infer<typeof Preparation>;

/**
 * Reads the file of a preparation; relative paths in it become absolute.
 *
 * @throws Failure `configuration_invalid` naming the file, each wrong key and what it should be
 */
export function loadPreparation(path: string): Preparation {
  let raw: unknown;
  try {
    raw = parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Failure('configuration_invalid', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const parsed = Preparation.safeParse(raw);
  if (!parsed.success) {
    throw new Failure('configuration_invalid', `${path} is not valid:\n${z.prettifyError(parsed.error)}`);
  }
  const { gitlab, cluster, pipeline } = parsed.data;
  const at = (file: string) => resolve(dirname(path), file);
  gitlab.tokenFile = at(gitlab.tokenFile);
  cluster.tokenFile = at(cluster.tokenFile);
  cluster.caFile = at(cluster.caFile);
  if (pipeline.variant === 'tekton') {
    pipeline.hookSecretFile = at(pipeline.hookSecretFile);
    pipeline.gitlabTokenFile = at(pipeline.gitlabTokenFile);
    pipeline.registryConfigFile = at(pipeline.registryConfigFile);
  }
  return parsed.data;
}
