import { join } from 'node:path';
import { bundleMapping, manifestsPathOf } from '../../bundle/labels.ts';
import { type Csv, readCsvs } from '../../bundle/manifests.ts';
import { assertNoSubstitutionCycle } from '../../bundle/substitutions.ts';
import { changesBetween, type PackageChange } from '../../catalog/changes.ts';
import type { IndexDbEngine } from '../../catalog/engine.ts';
import { assertNotCatalogOnly, mergeMigrated } from '../../catalog/files.ts';
import { bundlesIn, packagesIn, substitutionsIn } from '../../catalog/index-db.ts';
import { indexMetadata } from '../../catalog/metadata.ts';
import { type PackageModel, readPackageModels } from '../../catalog/model.ts';
import type { Opm } from '../../catalog/opm.ts';
import type { GraphMode, OpmSurroundings } from '../../catalog/opm-commands.ts';
import { deprecationMatches, presenceOf } from '../../catalog/presence.ts';
import { type CatalogTree, packageDir, workspaceTree } from '../../catalog/tree.ts';
import { validatePackages } from '../../catalog/validate.ts';
import { wholeDatabaseEngine } from '../../catalog/whole-database.ts';
import { Failure } from '../../errors/failure.ts';
import { extractDirectory } from '../../registry/layers.ts';
import { parsePullSpec } from '../../registry/pull-spec.ts';
import { artifactOf, destinationOf, indexTokens, outputsOf } from '../index-change.ts';
import { prepareIndex, readIndex } from '../prepare-index.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { type ResolvedBundle, readBundles } from './bundles.ts';
import { AddPayload } from './payload.ts';

/** Adds bundles to an index (request-handling.md §10.1). */
export const add = requestWork<AddPayload>({
  payload: AddPayload,
  tokens: indexTokens,
  destination: ({ payload }, reading) =>
    destinationOf(payload.from_index, reading, { overwrite: payload.overwrite_from_index }),
  change: changeIndex,
});

async function changeIndex({ id, user, payload }: WorkItem<AddPayload>, shop: Workshop): Promise<Changed> {
  const { config, registry, report } = shop;
  await report('Resolving the bundles');
  const bundles = await readBundles(payload.bundles, { ...shop, user, relatedImages: payload.check_related_images });
  const deprecations = [];
  for (const spec of payload.deprecation_list) deprecations.push(await registry.resolveBundle(spec));

  await report('Resolving the container images');
  const destination = await add.destination({ id, user, payload }, shop);
  const index = payload.from_index as string;
  const from = await readIndex(index, registry);
  const image = await prepareIndex({
    config,
    registry,
    reference: from,
    present: [from],
    requested: {
      scope: payload.distribution_scope,
      binaryImage: payload.binary_image,
      addArches: payload.add_arches,
    },
  });
  const opm = await shop.opmFor(image.ocpVersion);
  const mapping = bundleMapping(bundles.map(({ spec, labels }) => ({ pullSpec: spec, labels })));
  await shop.record({
    binary_image: image.binaryImage,
    binary_image_resolved: image.binaryImageResolved,
    distribution_scope: image.scope,
    from_index_resolved: from.resolved as string,
    bundle_mapping: mapping,
  });
  await report(`Building the index image for the following arches: ${image.arches.join(', ')}`);

  await report('Cloning Git repository');
  const tree = workspaceTree(await shop.openCatalog(destination), shop.signal);
  const indexDb = await shop.openIndexDb(index);
  const packages = await changeCatalog(
    { tree, db: indexDb.path, opm, shop },
    { bundles, deprecations, operators: Object.keys(mapping), scope: image.scope, mode: payload.graph_update_mode },
  );

  return {
    destination,
    arches: image.arches,
    commit: { subject: `IIB: Add bundles for request ${id}`, body: `Bundles: ${payload.bundles.join(', ')}` },
    metadata: indexMetadata({
      requestId: id,
      opm,
      ocpVersion: image.ocpVersion,
      scope: image.scope,
      binaryImage: image.binaryImageResolved,
      arches: image.arches,
    }),
    packages,
    indexDb: indexDb.path,
    planned: {
      id,
      failurePrefix: 'Failed to add bundles: ',
      done: 'The operator bundle(s) were successfully added to the index image',
      ...outputsOf(config.registry, id, payload.build_tags),
      overwrites: destination.overwrite
        ? { tag: index, digest: parsePullSpec(from.resolved as string).digest as string }
        : null,
      artifact: artifactOf({
        registry: config.registry,
        index,
        request: id,
        type: 'add',
        operators: Object.keys(mapping),
        sharedDigest: indexDb.shared.digest,
      }),
      records: [
        'arches',
        'index_image',
        'index_image_resolved',
        'internal_index_image_copy',
        'internal_index_image_copy_resolved',
      ],
    },
  };
}

interface Bench {
  tree: CatalogTree;
  db: string;
  opm: Opm;
  shop: Workshop;
}

interface Wanted {
  bundles: readonly ResolvedBundle[];
  /** By digest. */
  deprecations: readonly string[];
  /** Packages of the bundles. */
  operators: readonly string[];
  scope: string;
  mode: string | null;
}

/** Steps 5 to 12: database and catalog get the bundles they lack; everything else keeps its bytes. */
async function changeCatalog({ tree, db, opm, shop }: Bench, wanted: Wanted): Promise<PackageChange[]> {
  await shop.report('Checking if bundles are already present in index image');
  const indexed = bundlesIn(db);
  const resolved = wanted.bundles.map((bundle) => bundle.resolved);
  const { missing } = presenceOf(resolved, indexed);
  const toDeprecate = deprecationMatches(wanted.deprecations, [...indexed, ...missing.map((image) => ({ image }))]);
  if (missing.length > 0) await assertNotCatalogOnly(tree, packagesIn(db), wanted.operators);
  await assertGraphIsFinite(db, wanted, missing, shop);

  const around: OpmSurroundings = {
    scratch: shop.scratch,
    env: shop.childEnv,
    signal: shop.signal,
    transport: spokenPlainly(missing, shop) ? 'plain-http' : 'tls',
  };
  const engine: IndexDbEngine = wholeDatabaseEngine(opm, around, shop.config);
  const mode = graphMode(wanted.mode);
  const added = await engine.addBundles(db, missing, {
    ...(mode === undefined ? {} : { mode }),
    overwriteLatest: wanted.scope !== 'prod',
  });
  const packageOf = new Map(bundlesIn(db).map((bundle) => [bundle.image, bundle.package]));
  const deprecated = await engine.deprecate(db, toDeprecate);
  const touched = [...new Set([...added, ...deprecated])].sort();
  if (touched.length === 0) return [];

  await tree.include(touched);
  const before = await modelsOf(tree, touched);
  const migrated = join(shop.scratch, 'migrated');
  await engine.migrate(db, migrated, touched);
  const emptied = [...new Set(toDeprecate.flatMap((image) => packageOf.get(image) ?? []))];
  const merged = await mergeMigrated(tree, { dir: migrated, packages: touched, emptied });
  await validatePackages(opm, tree, merged.written, around);
  return changesBetween(before, await modelsOf(tree, touched), merged.written);
}

/** opm before v1.73 eats all memory on a cycle of substitutions (opm-and-index-db.md §2.1). */
async function assertGraphIsFinite(
  db: string,
  { bundles, operators }: Wanted,
  missing: readonly string[],
  { registry, scratch }: Workshop,
): Promise<void> {
  const csvs: Csv[] = [];
  for (const { resolved, labels } of bundles) {
    if (!missing.includes(resolved)) continue;
    const to = join(scratch, `manifests-${parsePullSpec(resolved).digest?.slice(7, 19)}`);
    await extractDirectory({ client: registry, image: resolved, directory: manifestsPathOf(labels), to });
    csvs.push(...(await readCsvs(to)));
  }
  assertNoSubstitutionCycle([...substitutionsIn(db, operators), ...csvs]);
}

async function modelsOf(tree: CatalogTree, names: readonly string[]): Promise<PackageModel[]> {
  const models: PackageModel[] = [];
  for (const name of names) models.push(...(await readPackageModels(packageDir(tree, name))));
  return models;
}

/** opm has one switch for all the bundles of a call. */
function spokenPlainly(bundles: readonly string[], { config }: Workshop): boolean {
  return bundles.some((bundle) => config.registry.insecure.includes(parsePullSpec(bundle).registry));
}

const MODES: readonly string[] = ['replaces', 'semver', 'semver-skippatch'] satisfies GraphMode[];

function graphMode(mode: string | null): GraphMode | undefined {
  if (mode === null) return undefined;
  if (MODES.includes(mode)) return mode as GraphMode;
  throw new Failure('request_invalid', `opm has no graph update mode "${mode}"; it has ${MODES.join(', ')}`);
}
