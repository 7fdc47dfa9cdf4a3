import { join } from 'node:path';
import { bundleMapping } from '../../bundle/labels.ts';
import type { Csv } from '../../bundle/manifests.ts';
import { assertNoSubstitutionCycle } from '../../bundle/substitutions.ts';
import { inThread, ThreadLimit } from '../../bundle/thread.ts';
import type { PackageChange } from '../../catalog/changes.ts';
import { assertNotCatalogOnly } from '../../catalog/files.ts';
import { bundlesIn, packagesIn, substitutionsIn } from '../../catalog/index-db.ts';
import { deprecationMatches, presenceOf } from '../../catalog/presence.ts';
import { parsePullSpec } from '../../registry/pull-spec.ts';
import { type Bench, bringOver, engineOf, graphMode, openBench, openIndexDb } from '../bench.ts';
import { changedIndex, decideImage, destinationOf, indexTokens, overwrittenIndex } from '../index-change.ts';
import { readIndex } from '../prepare-index.ts';
import { sideBySide } from '../side-by-side.ts';
import { unpackBundle } from '../unpack-bundle.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { type ResolvedBundle, readBundles } from './bundles.ts';
import { assertGatingPassed } from './greenwave.ts';
import { AddPayload } from './payload.ts';

/** Adds bundles to an index (request-handling.md §10.1). */
export const add = requestWork<AddPayload>({
  payload: AddPayload,
  tokens: indexTokens,
  overwrites: overwrittenIndex,
  async destination({ payload }, reading) {
    const index = await readIndex(payload.from_index, reading);
    return destinationOf(index, reading, { overwrite: payload.overwrite_from_index });
  },
  change,
});

async function change({ id, user, payload }: WorkItem<AddPayload>, shop: Workshop): Promise<Changed> {
  const { registry, report } = shop;
  await report('Resolving the bundles');
  const bundles = await readBundles(payload.bundles, { ...shop, user, relatedImages: payload.check_related_images });
  await assertGatingPassed(bundles, {
    ...shop,
    user,
    overwrites: payload.overwrite_from_index,
    index: payload.from_index,
  });
  const deprecations = await sideBySide(payload.deprecation_list, (spec) => registry.resolveBundle(spec));

  await report('Resolving the container images');
  const index = await readIndex(payload.from_index, shop);
  const mapping = bundleMapping(bundles.map(({ spec, labels }) => ({ pullSpec: spec, labels })));
  const operators = Object.keys(mapping);
  const image = await decideImage(shop, {
    reference: index,
    present: [index],
    requested: {
      scope: payload.distribution_scope,
      binaryImage: payload.binary_image,
      addArches: payload.add_arches,
    },
    learned: { from_index_resolved: index.resolved, bundle_mapping: mapping },
  });

  const destination = destinationOf(index, shop, { overwrite: payload.overwrite_from_index });
  const bench = await openBench(shop, destination, image.opm);
  const indexDb = await openIndexDb(bench, index);
  const packages = await changeCatalog(bench, indexDb.path, {
    bundles,
    deprecations,
    operators,
    scope: image.scope,
    mode: payload.graph_update_mode,
  });

  return changedIndex(shop, {
    request: id,
    index,
    destination,
    image,
    commit: { subject: `IIB: Add bundles for request ${id}`, body: `Bundles: ${payload.bundles.join(', ')}` },
    packages,
    indexDb: indexDb.path,
    shared: indexDb.from,
    artifact: { type: 'add', operators },
    buildTags: payload.build_tags,
    failurePrefix: 'Failed to add bundles: ',
    done: 'The operator bundle(s) were successfully added to the index image',
    records: 'all',
  });
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
async function changeCatalog(bench: Bench, db: string, wanted: Wanted): Promise<PackageChange[]> {
  const { shop, tree } = bench;
  await shop.report('Checking if bundles are already present in index image');
  const indexed = bundlesIn(db);
  const resolved = wanted.bundles.map((bundle) => bundle.resolved);
  const { missing } = presenceOf(resolved, indexed);
  const toDeprecate = deprecationMatches(wanted.deprecations, [...indexed, ...missing.map((image) => ({ image }))]);
  const packages = packagesIn(db);
  if (missing.length > 0) await assertNotCatalogOnly(tree, packages, wanted.operators);
  await assertGraphIsFinite(db, wanted, missing, shop);

  const engine = engineOf(bench, missing);
  const added = await engine.addBundles(db, missing, {
    ...graphMode(wanted.mode),
    overwriteLatest: wanted.scope !== 'prod',
  });
  // Labels may say something else than the annotations, by which opm goes.
  await assertNotCatalogOnly(tree, packages, added);
  const packageOf = new Map(bundlesIn(db).map((bundle) => [bundle.image, bundle.package]));
  const deprecated = await engine.deprecate(db, toDeprecate);
  const emptied = [...new Set(toDeprecate.flatMap((image) => packageOf.get(image) ?? []))];
  return bringOver(bench, db, [...new Set([...added, ...deprecated])].sort(), emptied);
}

/** opm before v1.73 eats all memory on a cycle of substitutions (opm-and-index-db.md §2.1). */
async function assertGraphIsFinite(
  db: string,
  { bundles, operators }: Wanted,
  missing: readonly string[],
  { registry, scratch }: Workshop,
): Promise<void> {
  const csvs: Csv[] = [];
  for (const { resolved } of bundles) {
    if (!missing.includes(resolved)) continue;
    const to = join(scratch, `bundle-${parsePullSpec(resolved).digest?.slice(7, 19)}`);
    // The folders that opm reads, whatever the image's labels say.
    await unpackBundle({ registry }, resolved, to);
    const csv = await csvOf(join(to, 'manifests'));
    if (csv !== null) csvs.push(csv);
  }
  assertNoSubstitutionCycle([...substitutionsIn(db, operators), ...csvs]);
}

/** What takes too much to be read here is left to opm, which has a limit of its own. */
async function csvOf(manifests: string): Promise<Csv | null> {
  return inThread('readCsv', manifests).catch((thrown: unknown) => {
    if (thrown instanceof ThreadLimit) return null;
    throw thrown;
  });
}
