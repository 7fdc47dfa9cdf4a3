import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { buildIndex } from '../builder/build.ts';
import { readFragment } from '../catalog/fragments.ts';
import { emptyIndexDb } from '../catalog/index-db.ts';
import { indexMetadata, METADATA_FILE, metadataText } from '../catalog/metadata.ts';
import { opmFor } from '../catalog/opm.ts';
import { wholeDatabaseEngine } from '../catalog/whole-database.ts';
import { allCatalogs } from '../config/catalogs.ts';
import { loadConfig } from '../config/load.ts';
import type { Config, ProposalKind } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { pushBranchContent } from '../onboarding/branch.ts';
import { fillBranch } from '../onboarding/content.ts';
import { artifactClashes, artifactTagFor, createArtifacts } from '../registry/artifact.ts';
import { openAuthDirectory, readAuthFile } from '../registry/auth.ts';
import { copyImage } from '../registry/copy.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { type Layout, writePrivate } from './layout.ts';
import { patientRegistryClient } from './registry-client.ts';
import { untilShown } from './shown-push.ts';

export interface IndexToMake {
  /** `registry/namespace/name:tag` */
  ref: string;
  /** OCP version, the name of the catalog branch. */
  ocp: string;
  /** Bundle pull specs; must be readable with the service's credentials. */
  bundles: string[];
  /** What its image is made for. */
  arches: readonly string[];
  /** Folder with a folder for each package that stands in the catalog alone, and not in the database. */
  fbcDir?: string | undefined;
  /** Where its pipelines run; the service's default when absent. */
  namespace?: string | undefined;
  /** How its changes are proposed; by merge requests when absent. */
  proposal?: ProposalKind | undefined;
  binaryImage: string;
  /** URL of the repository, prepared. */
  catalogRepoUrl: string;
  /** Of a user who may push to the project. */
  gitlabToken: string;
  /** Token the service uses for the project. */
  serviceTokenFile: string;
}

/**
 * Makes an index as a team that moves to the service would have it: index.db by the real opm and its artifact, the
 * catalog branch, the image; and maps it in the running service's configuration.
 *
 * @returns the index by digest
 * @throws Failure of opm, the registry or git
 */
export async function makeIndexImage(layout: Layout, index: IndexToMake): Promise<string> {
  const { ref, ocp, bundles } = index;
  const config = loadConfig(layout.path('config.yaml'), {});
  const { insecure, authFile } = config.registry;
  const auth = await readAuthFile(authFile as string);
  const client = patientRegistryClient(auth, insecure);
  assertOwnArtifact(config, ref);

  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-index-'));
  const credentials = await openAuthDirectory(auth);
  try {
    const opm = await opmFor({ config: config.opm, ocpVersion: ocp });
    const around = { scratch, env: credentials.env, transport: 'plain-http' as const };
    const db = join(scratch, 'index.db');
    await emptyIndexDb(opm, db, around);
    const engine = wholeDatabaseEngine(opm, around, config);
    const resolved: string[] = [];
    for (const bundle of bundles) resolved.push(await client.resolveBundle(bundle));
    await engine.addBundles(db, resolved);
    const configs = join(scratch, 'configs');
    await mkdir(configs);
    const indexed = resolved.length === 0 ? [] : await engine.migrate(db, configs);
    if (index.fbcDir !== undefined) await addFileBased(index.fbcDir, configs, indexed);

    const metadata = indexMetadata({
      requestId: 0,
      opm,
      ocpVersion: ocp,
      scope: 'prod',
      binaryImage: index.binaryImage,
      arches: index.arches,
    });
    const context = join(scratch, 'context');
    const fill = async (dir: string) => {
      await rm(join(dir, 'configs'), { recursive: true, force: true });
      await cp(configs, join(dir, 'configs'), { recursive: true });
      await writeFile(join(dir, METADATA_FILE), metadataText(metadata));
      await fillBranch(dir, { kind: 'catalog', variant: 'tekton', proposal: index.proposal ?? 'merge-request' });
    };
    await mkdir(context);
    await fill(context);
    const commit = await pushBranchContent(index.catalogRepoUrl, {
      branch: ocp,
      token: index.gitlabToken,
      message: `Catalog of ${ref}`,
      fill,
    });
    const built = await buildIndex({
      context,
      image: `${config.registry.output}/builds/seed:${ocp}`,
      commit,
      resultDir: join(scratch, 'results'),
      opmDir: config.opm.dir as string,
      created: new Date(),
      auth,
      insecure,
    });
    await copyImage({ from: built.ref, to: ref, registry: client, auth, insecure, timeout: 120_000 });
    const artifacts = createArtifacts({ cacheDir: join(scratch, 'artifacts') });
    await artifacts.push(client, artifactTagFor(config.registry, ref), { file: db, annotations: {} });
    await untilShown({ catalogRepoUrl: index.catalogRepoUrl, branch: ocp, token: index.gitlabToken }, commit);
    map(layout, index);
    return `${nameOf(ref)}@${built.digest}`;
  } finally {
    await credentials.remove();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Puts file-based packages beside those of the database. */
async function addFileBased(fbcDir: string, configs: string, indexed: readonly string[]): Promise<void> {
  const { packages } = await readFragment({ dir: resolve(fbcDir), path: fbcDir, image: fbcDir });
  const both = packages.filter((name) => indexed.includes(name));
  if (both.length > 0) {
    throw new Failure('request_invalid', `${both.join(', ')}: in the bundles and in the file-based catalog`);
  }
  await cp(resolve(fbcDir), configs, { recursive: true });
}

const mappingFile = (layout: Layout, ref: string) =>
  layout.path('catalogs.d', `${parsePullSpec(ref).repository.replaceAll('/', '.')}.yaml`);

/** The running service reads the folder again at each use, so the mapping takes effect at once. */
function map(layout: Layout, { ref, catalogRepoUrl, serviceTokenFile, namespace, proposal }: IndexToMake): void {
  const mapping = { index: nameOf(ref), repository: catalogRepoUrl, tokenFile: serviceTokenFile, namespace, proposal };
  writePrivate(mappingFile(layout, ref), stringify(mapping));
}

/** Two indexes with the same last name and tag would share one index.db (request-handling.md H16). */
function assertOwnArtifact(config: Config, ref: string): void {
  const names = [...allCatalogs(config).map(({ index }) => index), nameOf(ref)];
  const clash = artifactClashes(config.registry, names).find((group) => group.includes(nameOf(ref)));
  if (clash !== undefined) {
    throw new Failure(
      'configuration_invalid',
      `${clash.join(' and ')} would share one index.db artifact: choose another last name for the index`,
    );
  }
}
