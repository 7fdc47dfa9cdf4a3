import { readFileSync } from 'node:fs';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import type { Preparation } from '../onboarding/preparation.ts';
import { prepareRepository } from '../onboarding/prepare.ts';
import { Anything, orNull } from '../onboarding/rest.ts';
import { readAuthFile } from '../registry/auth.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { relabelBinaryImage } from './binary-image.ts';
import { type IndexToMake, makeIndexImage } from './index-image.ts';
import type { Layout } from './layout.ts';
import { preparationIn } from './preparation.ts';
import { patientRegistryClient } from './registry-client.ts';
import { restClient } from './rest.ts';
import { ARCHES, binaryImageOf, SEEDED_VERSION } from './service-files.ts';

/**
 * Makes an index in a running sandbox from another process or the sandbox's own: its repository is
 * prepared, then filled: catalog branch, artifact, image.
 *
 * @param index.ref `namespace/name:tag`, with or without the sandbox's registry in front
 * @param index.arches all of the binary image when absent
 * @param index.namespace where its pipelines run; the sandbox's own when absent
 * @param index.fbcDir folder with a folder for each package that the index has as file-based catalog only
 * @param index.existing what to do when the tag or the catalog branch is there: `replace` loses what they have;
 *   `refuse` unless given
 * @returns the index by digest, and its repository
 * @throws Failure `request_invalid` for an index that exists, a wrong version, architecture or name
 */
export async function makeIndex(
  layout: Layout,
  index: Pick<IndexToMake, 'ref' | 'ocp' | 'bundles' | 'fbcDir' | 'namespace' | 'proposal'> &
    Partial<Pick<IndexToMake, 'arches'>> & { existing?: 'refuse' | 'replace' | undefined },
): Promise<{ pullSpec: string; catalogRepoUrl: string }> {
  const { ref, ocp, namespace, proposal, arches = ARCHES, existing = 'refuse' } = index;
  if (!/^v\d+\.\d+$/.test(ocp)) {
    throw new Failure('request_invalid', `The OCP version must look like v4.19, not "${ocp}"`);
  }
  const strange = arches.filter((arch) => !ARCHES.includes(arch));
  if (strange.length > 0) {
    throw new Failure('request_invalid', `Binary images are for ${ARCHES.join(', ')}, not for ${strange.join(', ')}`);
  }
  const { path } = layout;
  const config = loadConfig(path('config.yaml'), {});
  const { registry } = config;
  const full = ref.startsWith(`${registry.output}/`) ? ref : `${registry.output}/${ref}`;
  if (parsePullSpec(full).tag === undefined) throw new Failure('request_invalid', `${ref} has no tag`);

  const binaryImage = await ensureBinaryImage(config, ocp);
  const name = nameOf(full).split('/').slice(1).join('-');
  const of = { project: `catalogs/${name}`, branch: ocp, builds: name, namespace, proposal };
  const wanted = preparationIn(layout, { kind: 'catalog', ...of });
  if (existing === 'refuse') await assertAbsent(config, full, wanted);
  const catalogRepoUrl = await prepareRepository(wanted, () => {});
  const pullSpec = await makeIndexImage(layout, {
    ...index,
    arches,
    ref: full,
    binaryImage,
    catalogRepoUrl,
    gitlabToken: readFileSync(wanted.gitlab.tokenFile, 'utf8').trim(),
    serviceTokenFile: path('secrets', 'gitlab-token'),
  });
  return { pullSpec, catalogRepoUrl };
}

async function assertAbsent({ registry }: Config, ref: string, wanted: Preparation): Promise<void> {
  const client = patientRegistryClient(await readAuthFile(registry.authFile as string), registry.insecure);
  const { url, project, tokenFile } = wanted.gitlab;
  const [branch = ''] = wanted.branches;
  const gitlab = restClient(`${url}/api/v4`, { 'private-token': readFileSync(tokenFile, 'utf8').trim() });
  const path = `/projects/${encodeURIComponent(project)}/repository/branches/${encodeURIComponent(branch)}`;
  const [digest, found] = await Promise.all([client.digestOf(ref), orNull(gitlab('GET', path, Anything))]);
  if (digest === null && found === null) return;
  const what = digest === null ? `The branch ${branch} of ${url}/${project}` : `The index ${ref}`;
  throw new Failure('request_invalid', `${what} exists: take another name, or --replace to lose what it has`);
}

/** The binary image of an OCP version, told from the seeded one by its label as that of OpenShift is; made when it is first needed. */
async function ensureBinaryImage({ binaryImages, registry }: Config, ocp: string): Promise<string> {
  const image = binaryImages.prod?.[ocp];
  if (image === undefined) throw new Failure('request_invalid', `The sandbox has no binary image for ${ocp}`);
  const client = patientRegistryClient(await readAuthFile(registry.authFile as string), registry.insecure);
  if (image === binaryImageOf(registry.output, ocp) && (await client.digestOf(image)) === null) {
    const from = binaryImageOf(registry.output, SEEDED_VERSION);
    await relabelBinaryImage(client, { from, ref: image, arches: ARCHES, labels: { version: ocp } });
  }
  return image;
}
