import { changesBetween, type PackageChange } from '../../catalog/changes.ts';
import { writeDeprecations } from '../../catalog/deprecations.ts';
import { hasPackage } from '../../catalog/index-db.ts';
import { readPackages } from '../../catalog/update.ts';
import { validatePackages } from '../../catalog/validate.ts';
import { Failure } from '../../errors/failure.ts';
import { type Bench, openBench, openIndexDb } from '../bench.ts';
import { changedIndex, decideImage, destinationOf, indexTokens, overwrittenIndex } from '../index-change.ts';
import { readIndex } from '../prepare-index.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { AddDeprecationsPayload } from './payload.ts';

/** Gives a package of an index its deprecations (request-handling.md §10.8). */
export const addDeprecations = requestWork<AddDeprecationsPayload>({
  payload: AddDeprecationsPayload,
  tokens: indexTokens,
  overwrites: overwrittenIndex,
  async destination({ payload }, reading) {
    const index = await readIndex(payload.from_index, reading);
    return destinationOf(index, reading, { overwrite: payload.overwrite_from_index });
  },
  change,
});

async function change({ id, payload }: WorkItem<AddDeprecationsPayload>, shop: Workshop): Promise<Changed> {
  const { report } = shop;
  const { operator_package: name } = payload;
  await report('Resolving the index images');
  await report('Resolving the container images');
  const index = await readIndex(payload.from_index, shop);
  // Upstream hands this type neither the scope nor the list of who may do with fewer arches; clients can tell.
  const unrestricted = { ...shop, config: { ...shop.config, fewerArchesAllowed: [] } };
  const image = await decideImage(unrestricted, {
    reference: index,
    present: [index],
    requested: { scope: null, binaryImage: payload.binary_image, addArches: payload.add_arches },
    learned: { from_index_resolved: index.resolved },
  });

  const destination = destinationOf(index, shop, { overwrite: payload.overwrite_from_index });
  const bench = await openBench(shop, destination, image.opm);
  const indexDb = await openIndexDb(bench, index);
  const packages = await deprecate(bench, indexDb.path, name, payload.deprecation_schema);

  return changedIndex(shop, {
    request: id,
    index,
    destination,
    image,
    commit: { subject: `IIB: Add deprecations for request ${id}`, body: `Package: ${name}` },
    packages,
    indexDb: indexDb.path,
    shared: indexDb.from,
    artifact: { type: 'add_deprecations', operators: [name] },
    buildTags: payload.build_tags,
    failurePrefix: 'Failed to add deprecations: ',
    done: 'The deprecation schema was successfully added to the index image',
    records: 'all',
  });
}

/** Replaces the package's deprecations; opm knows whether they fit its channels and bundles. */
async function deprecate(bench: Bench, db: string, name: string, schema: string): Promise<PackageChange[]> {
  const { shop, tree, opm, around } = bench;
  if (!hasPackage(db, name)) {
    throw new Failure(
      'package_not_in_database',
      `Cannot add deprecations for ${name}, It is either not present in index or opted in fbc`,
    );
  }
  await shop.report('Getting all deprecations present in index image');
  const before = await readPackages(tree, [name]);
  await shop.report('Adding deprecations to from_index');
  await writeDeprecations(tree, name, schema);
  await validatePackages(opm, tree, [name], around);
  return changesBetween(before, await readPackages(tree, [name]));
}
