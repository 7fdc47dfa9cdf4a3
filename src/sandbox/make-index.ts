import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { loadConfig } from '../config/load.ts';
import { Failure } from '../errors/failure.ts';
import { prepareRepository } from '../onboarding/prepare.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { type IndexToMake, makeIndexImage } from './index-image.ts';
import type { Layout } from './layout.ts';
import { preparationIn } from './preparation.ts';

/**
 * Makes an index in a running sandbox from another process or the sandbox's own: its repository is
 * prepared, then filled: catalog branch, artifact, image.
 *
 * @param index.ref `namespace/name:tag`, with or without the sandbox's registry in front
 * @param index.namespace where its pipelines run; the sandbox's own when absent
 * @param index.fbcDir folder with a folder for each package that the index has as file-based catalog only
 * @returns the index by digest, and its repository
 */
export async function makeIndex(
  layout: Layout,
  index: Pick<IndexToMake, 'ref' | 'ocp' | 'bundles' | 'fbcDir' | 'namespace' | 'proposal'>,
): Promise<{ pullSpec: string; catalogRepoUrl: string }> {
  const { ref, ocp, namespace, proposal } = index;
  if (!/^v\d+\.\d+$/.test(ocp)) {
    throw new Failure('request_invalid', `The OCP version must look like v4.19, not "${ocp}"`);
  }
  const { path } = layout;
  const config = loadConfig(path('config.yaml'));
  const { registry } = config;
  const full = ref.startsWith(`${registry.output}/`) ? ref : `${registry.output}/${ref}`;
  if (parsePullSpec(full).tag === undefined) throw new Failure('request_invalid', `${ref} has no tag`);

  const name = nameOf(full).split('/').slice(1).join('-');
  const of = { project: `catalogs/${name}`, branch: ocp, builds: name, namespace, proposal };
  const wanted = preparationIn(layout, { kind: 'catalog', ...of });
  const catalogRepoUrl = await prepareRepository(wanted, () => {});
  const pullSpec = await makeIndexImage(layout, {
    ...index,
    ref: full,
    binaryImage: z.string().parse(config.binaryImages.prod?.[ocp]),
    catalogRepoUrl,
    gitlabToken: readFileSync(wanted.gitlab.tokenFile, 'utf8').trim(),
    serviceTokenFile: path('secrets', 'gitlab-token'),
  });
  return { pullSpec, catalogRepoUrl };
}
