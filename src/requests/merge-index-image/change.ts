import { assertNoSubstitutionCycle } from '../../bundle/substitutions.ts';
import type { PackageChange } from '../../catalog/changes.ts';
import { changedPackages, fingerprints } from '../../catalog/fingerprint.ts';
import { bundlesIn, channelHeadsIn, packagesIn, substitutionsIn } from '../../catalog/index-db.ts';
import { deprecationMatches, latestToDeprecate } from '../../catalog/presence.ts';
import { Failure } from '../../errors/failure.ts';
import { type Bench, bringOver, engineOf, graphMode, openBench, openIndexDb } from '../bench.ts';
import { changedIndex, decideImage, destinationOf } from '../index-change.ts';
import { readIndex } from '../prepare-index.ts';
import { pythonList } from '../python-list.ts';
import { sideBySide } from '../side-by-side.ts';
import { type Changed, type Reading, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { assertBundlesExist, unfitBundles } from './bundles.ts';
import { mayLackLabel, missingBundles, uniqueByPath } from './decisions.ts';
import { indexVersion } from './ocp-versions.ts';
import { MergePayload } from './payload.ts';

/** Brings an index's packages into another of the next OCP version (request-handling.md §10.3). */
export const mergeIndexImage = requestWork<MergePayload>({
  payload: MergePayload,
  tokens({ target_index: spec }, { overwrite_target_index_token: token }) {
    return spec === null || token === undefined ? [] : [{ spec, token }];
  },
  overwrites: ({ overwrite_target_index: overwrite, target_index: target, source_from_index: source }) =>
    overwrite ? (target ?? source) : null,
  async destination({ payload }, reading) {
    const { effective } = await readIndexes(payload, reading);
    return destinationOf(effective, reading, { overwrite: payload.overwrite_target_index });
  },
  change,
});

/** `effective` is the index that the result stands for: the target, or the source when there is none. */
async function readIndexes(payload: MergePayload, reading: Reading) {
  const source = await readIndex(payload.source_from_index, { ...reading, registry: reading.serviceRegistry });
  const target = payload.target_index === null ? null : await readIndex(payload.target_index, reading);
  return { source, target, effective: target ?? source };
}

async function change({ id, user, payload }: WorkItem<MergePayload>, shop: Workshop): Promise<Changed> {
  const { config, report } = shop;
  await report('Preparing request for merge');
  if (payload.target_index === null && payload.overwrite_target_index) {
    throw new Failure(
      'request_invalid',
      `Parameter 'target_index' must be set when 'overwrite_target_index' or 'overwrite_target_index_token' is provided`,
    );
  }
  await report('Resolving the container images');
  const { source, target, effective } = await readIndexes(payload, shop);
  const image = await decideImage(shop, {
    reference: effective,
    present: target === null ? [source] : [source, target],
    requested: { scope: payload.distribution_scope, binaryImage: payload.binary_image, addArches: [] },
    learned: {
      source_from_index_resolved: source.resolved,
      ...(target === null ? {} : { target_index_resolved: target.resolved }),
    },
  });

  const destination = destinationOf(effective, shop, { overwrite: payload.overwrite_target_index });
  const bench = await openBench(shop, destination, image.opm);
  const sourceDb = await openIndexDb(bench, source);
  const targetDb = target === null ? null : await openIndexDb(bench, target);
  const indexes = [source, ...(target === null ? [] : [target])].flatMap(({ spec, resolved }) => [spec, resolved]);
  const waiver = { asked: payload.ignore_bundle_ocp_version, user, indexes };
  const merged = await merge(bench, sourceDb.path, targetDb?.path ?? null, {
    version: image.ocpVersion,
    withoutLabel: mayLackLabel(waiver, config.noOcpLabelAllowed) ? 'fits' : 'does not fit',
    deprecations: payload.deprecation_list,
    mode: payload.graph_update_mode,
  });
  await report('Validating the FBC config');

  return changedIndex(shop, {
    request: id,
    index: effective,
    destination,
    image,
    commit: {
      subject: `IIB: Merge operators for request ${id}`,
      body: `Missing bundles: ${merged.added.join(', ')}`,
    },
    packages: merged.packages,
    indexDb: sourceDb.path,
    shared: (targetDb ?? sourceDb).from,
    artifact: { type: 'merge', operators: [...new Set(merged.operators)] },
    buildTags: payload.build_tags,
    failurePrefix: 'Failed to merge operators: ',
    done: `The operator(s) ${pythonList(merged.operators)} were successfully merged from the source index image into the target index image`,
    records: 'imageAlone',
  });
}

interface Wish {
  /** OCP version of the result. */
  version: string;
  withoutLabel: 'fits' | 'does not fit';
  deprecations: readonly string[];
  mode: string | null;
}

interface Merged {
  /** Paths of the bundles that the source lacked. */
  added: string[];
  /** The package of every bundle of the result. */
  operators: string[];
  packages: PackageChange[];
}

/** Makes the source's database the result's, and brings it into the catalog (steps 4 to 12). */
async function merge(bench: Bench, db: string, targetDb: string | null, wish: Wish): Promise<Merged> {
  const { shop } = bench;
  const { report } = shop;
  // What the catalog shows now: it was made from this database.
  const shown = fingerprints(targetDb ?? db);
  await leaveOutCatalogOnly(bench, db, packagesIn(targetDb ?? db));
  const source = uniqueByPath(bundlesIn(db));
  const target = targetDb === null ? [] : uniqueByPath(bundlesIn(targetDb));

  await report('Validating whether the bundles have their pullspecs present in the registry');
  const version = indexVersion(wish.version);
  await assertBundlesExist(
    uniqueByPath([...source, ...target]).map(({ image }) => image),
    shop,
  );

  await report('Adding bundles missing in source index image');
  const missing = missingBundles(source, target);
  const added = missing.map(({ image }) => image);
  const paths = uniqueByPath([...missing, ...source]).map(({ image }) => image);
  const unfit = await unfitBundles(paths, version, wish.withoutLabel, shop);

  await report('Adding the missing bundles to the source index.db file');
  if (targetDb !== null) assertGraphIsFinite(db, targetDb, missing);
  await engineOf(bench, added).addBundles(db, added, graphMode(wish.mode));

  await report('Processing the deprecation list');
  const emptied = await deprecate(bench, db, { listed: wish.deprecations, among: paths, unfit });

  const operators = bundlesIn(db).map((bundle) => bundle.package);
  await report('Migrating the intermediary index.db file to FBC and generating the Dockerfile');
  const changed = await packagesToBring(bench, db, shown, emptied);
  return { added, operators, packages: await bringOver(bench, db, changed, emptied) };
}

/** A package that the result's catalog has by itself stays what it is there: the database must not speak of it (H17). */
async function leaveOutCatalogOnly(bench: Bench, db: string, indexed: readonly string[]): Promise<void> {
  const catalogOnly = new Set(await bench.tree.packages()).difference(new Set(indexed));
  const refused = packagesIn(db).filter((name) => catalogOnly.has(name));
  if (refused.length === 0) return;
  bench.shop.log.warn({ packages: refused }, 'packages that the target has as file-based catalog only are not merged');
  await engineOf(bench).removePackages(db, refused);
}

/** Bundles of two databases may form a circle that neither has alone (opm-and-index-db.md §2.1). */
function assertGraphIsFinite(
  db: string,
  targetDb: string,
  missing: readonly { name: string; package: string }[],
): void {
  const packages = [...new Set(missing.map((bundle) => bundle.package))];
  const coming = new Set(missing.map(({ name }) => name));
  const added = substitutionsIn(targetDb, packages).filter(({ name }) => coming.has(name));
  assertNoSubstitutionCycle([...substitutionsIn(db, packages), ...added]);
}

/** Deprecates what the list names and what is not for this OCP version. Gives the packages concerned. */
async function deprecate(
  bench: Bench,
  db: string,
  { listed, among, unfit }: { listed: readonly string[]; among: readonly string[]; unfit: readonly string[] },
): Promise<string[]> {
  const { serviceRegistry } = bench.shop;
  const resolved = await sideBySide(listed, (spec) => serviceRegistry.resolveBundle(spec));
  const indexed = bundlesIn(db);
  const matches = deprecationMatches(
    resolved,
    among.map((image) => ({ image })),
  );
  // An image that opm left out of every channel when it added others cannot be deprecated any more.
  const present = new Set(indexed.map(({ image }) => image));
  const wanted = [...new Set([...matches, ...unfit])].filter((image) => present.has(image));
  const packages = [...new Set(indexed.filter(({ image }) => wanted.includes(image)).map((one) => one.package))];
  await engineOf(bench).deprecate(db, latestToDeprecate(wanted, indexed, channelHeadsIn(db, packages)));
  return packages;
}

/**
 * Packages of the result that the catalog does not show as they are now, and those that lost bundles to deprecation.
 * What the target alone has and the result has not stays in the catalog.
 */
async function packagesToBring(
  { tree }: Bench,
  db: string,
  shown: ReturnType<typeof fingerprints>,
  emptied: readonly string[],
): Promise<string[]> {
  const indexed = packagesIn(db);
  const changed = new Set(changedPackages(shown, fingerprints(db)));
  const inCatalog = new Set(await tree.packages());
  const differing = indexed.filter((name) => changed.has(name) || !inCatalog.has(name));
  return [...new Set([...differing, ...emptied])].sort();
}
