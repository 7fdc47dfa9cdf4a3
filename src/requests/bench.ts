import type { PackageChange } from '../catalog/changes.ts';
import type { IndexDbEngine } from '../catalog/engine.ts';
import { upgradeIndexDb } from '../catalog/index-db.ts';
import type { PackageModel } from '../catalog/model.ts';
import type { Opm } from '../catalog/opm.ts';
import type { AddOptions, GraphMode, OpmSurroundings } from '../catalog/opm-commands.ts';
import { createCatalogReader } from '../catalog/reader.ts';
import { type CatalogTree, workspaceTree } from '../catalog/tree.ts';
import { readPackages, updateFromDb } from '../catalog/update.ts';
import { wholeDatabaseEngine } from '../catalog/whole-database.ts';
import { Failure } from '../errors/failure.ts';
import { parsePullSpec } from '../registry/pull-spec.ts';
import type { IndexFacts } from './prepare-index.ts';
import type { Destination, IndexDb, Workshop } from './work.ts';

/** Where the packages of one request are changed: the catalog, and the opm that works on it and on databases. */
export interface Bench {
  shop: Workshop;
  tree: CatalogTree;
  opm: Opm;
  /** What all opm calls of the request have in common. */
  around: OpmSurroundings;
}

/**
 * Opens the catalog branch.
 *
 * @throws Failure `Error cloning remote repository for {url}`, `catalog_directory_missing`
 */
export async function openBench(shop: Workshop, destination: Destination, opm: Opm): Promise<Bench> {
  await shop.report('Cloning Git repository');
  const around = { scratch: shop.scratch, env: shop.childEnv, signal: shop.signal };
  const tree = workspaceTree(await shop.openCatalog(destination), createCatalogReader(opm, around), shop.signal);
  return { shop, tree, opm, around };
}

/**
 * A private copy of an index's database, at the newest schema.
 *
 * @throws Failure `Failed to pull OCI artifact {ref}`, `index_db_invalid`
 */
export async function openIndexDb(
  { shop, opm, around }: Bench,
  { tag, origin }: Pick<IndexFacts, 'tag' | 'origin'>,
  which: 'shared' | 'empty' = 'shared',
): Promise<IndexDb> {
  const artifact = which === 'shared' ? origin?.artifact : undefined;
  const indexDb = await shop.openIndexDb({ tag, artifact }, which);
  await upgradeIndexDb(opm, indexDb.path, around);
  return indexDb;
}

/**
 * What changes databases on this bench.
 *
 * @param pulled images that opm will have to pull; it has one switch for the transport of all
 */
export function engineOf({ shop, opm, around }: Bench, pulled: readonly string[] = []): IndexDbEngine {
  const { insecure } = shop.config.registry;
  const plain = pulled.some((image) => insecure.includes(parsePullSpec(image).registry));
  return wholeDatabaseEngine(opm, { ...around, transport: plain ? 'plain-http' : 'tls' }, shop.config);
}

/**
 * Brings changed packages of a database into the catalog and validates them there (request-handling.md §10.9).
 *
 * @param emptied those of them with deprecated bundles: nothing in their folders survives
 * @throws Failure as `updateFromDb`
 */
export async function bringOver(
  bench: Bench,
  db: string,
  packages: readonly string[],
  emptied: readonly string[] = [],
): Promise<PackageChange[]> {
  const { opm, around, tree, shop } = bench;
  return updateFromDb({ engine: engineOf(bench), opm, around, db, tree, packages, emptied, scratch: shop.scratch });
}

/** Packages about to be replaced or removed, for comparison; what cannot be read any more is taken for not there. */
export async function readReplaced({ tree }: Bench, packages: readonly string[]): Promise<PackageModel[]> {
  const models: PackageModel[] = [];
  for (const name of packages) {
    try {
      models.push(...(await readPackages(tree, [name])));
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.code !== 'catalog_invalid') throw thrown;
    }
  }
  return models;
}

const MODES: readonly string[] = ['replaces', 'semver', 'semver-skippatch'] satisfies GraphMode[];

/**
 * A `graph_update_mode` as opm takes it.
 *
 * @throws Failure `request_invalid` for one that opm does not have, whatever the configuration offers
 */
export function graphMode(mode: string | null): Pick<AddOptions, 'mode'> {
  if (mode === null) return {};
  if (MODES.includes(mode)) return { mode: mode as GraphMode };
  throw new Failure('request_invalid', `opm has no graph update mode "${mode}"; it has ${MODES.join(', ')}`);
}
