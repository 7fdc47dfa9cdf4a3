import { changesBetween, type PackageChange } from '../../catalog/changes.ts';
import { removePackage } from '../../catalog/files.ts';
import { packagesIn } from '../../catalog/index-db.ts';
import { assertPackageName } from '../../catalog/names.ts';
import { type Bench, bringOver, engineOf, openBench, openIndexDb, readReplaced } from '../bench.ts';
import { changedIndex, decideImage, destinationOf, indexTokens, overwrittenIndex } from '../index-change.ts';
import { readIndex } from '../prepare-index.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { RmPayload } from './payload.ts';

/** Removes packages from an index (request-handling.md §10.2). */
export const rm = requestWork<RmPayload>({
  payload: RmPayload,
  tokens: indexTokens,
  overwrites: overwrittenIndex,
  async destination({ payload }, reading) {
    const index = await readIndex(payload.from_index, reading);
    return destinationOf(index, reading, { overwrite: payload.overwrite_from_index });
  },
  change,
});

async function change({ id, payload }: WorkItem<RmPayload>, shop: Workshop): Promise<Changed> {
  const { report } = shop;
  const { operators } = payload;
  await report('Preparing request for build');
  for (const operator of operators) assertPackageName(operator);

  await report('Resolving the container images');
  const index = await readIndex(payload.from_index, shop);
  const image = await decideImage(shop, {
    reference: index,
    present: [index],
    requested: {
      scope: payload.distribution_scope,
      binaryImage: payload.binary_image,
      addArches: payload.add_arches,
    },
    learned: { from_index_resolved: index.resolved },
  });

  const destination = destinationOf(index, shop, { overwrite: payload.overwrite_from_index });
  const bench = await openBench(shop, destination, image.opm);
  const indexDb = await openIndexDb(bench, index);
  const packages = await removeOperators(bench, indexDb.path, operators);
  await report('Validating catalog');

  return changedIndex(shop, {
    request: id,
    index,
    destination,
    image,
    commit: { subject: `IIB: Remove operators for request ${id}`, body: `Operators: ${operators.join(', ')}` },
    packages,
    indexDb: indexDb.path,
    shared: indexDb.from,
    artifact: { type: 'rm', operators },
    buildTags: payload.build_tags,
    failurePrefix: 'Failed to remove operators: ',
    done: `The operator(s) ${operators.join(', ')} were successfully removed from the index image`,
    records: 'all',
  });
}

/** From the catalog and from the database, wherever each of them is; being in neither is fine. */
async function removeOperators(bench: Bench, db: string, operators: readonly string[]): Promise<PackageChange[]> {
  const { shop, tree } = bench;
  await shop.report('Removing operators from catalog');
  const before = await readReplaced(bench, operators);
  for (const operator of operators) await removePackage(tree, operator);
  const removed = changesBetween(before, []);

  await shop.report('Checking and removing from index database');
  const indexed = packagesIn(db).filter((name) => operators.includes(name));
  const touched = await engineOf(bench).removePackages(db, indexed);
  const others = touched.filter((name) => !operators.includes(name));
  return [...removed, ...(await bringOver(bench, db, others))];
}
