import { join } from 'node:path';
import { changesBetween, type PackageChange } from '../../catalog/changes.ts';
import { removeDeprecations } from '../../catalog/deprecations.ts';
import { foldersOfFragment, readFragment, replacePackage } from '../../catalog/fragments.ts';
import { packagesIn } from '../../catalog/index-db.ts';
import { readPackages } from '../../catalog/update.ts';
import { validatePackages } from '../../catalog/validate.ts';
import { Failure } from '../../errors/failure.ts';
import { extractDirectory } from '../../registry/layers.ts';
import { type Bench, bringOver, engineOf, openBench, openIndexDb, readReplaced } from '../bench.ts';
import { changedIndex, decideImage, destinationOf, indexTokens, overwrittenIndex } from '../index-change.ts';
import { readIndex } from '../prepare-index.ts';
import { pythonList } from '../python-list.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { FbcOperationsPayload } from './payload.ts';

/** Where a fragment image keeps its catalog. */
const CATALOG_PATH = '/configs';

/** Puts packages of file-based catalog fragments into an index (request-handling.md §10.4). */
export const fbcOperations = requestWork<FbcOperationsPayload>({
  payload: FbcOperationsPayload,
  tokens: indexTokens,
  overwrites: overwrittenIndex,
  async destination({ payload }, reading) {
    const index = await readIndex(payload.from_index, reading);
    return destinationOf(index, reading, { overwrite: payload.overwrite_from_index });
  },
  change,
});

async function change({ id, payload }: WorkItem<FbcOperationsPayload>, shop: Workshop): Promise<Changed> {
  const { serviceRegistry, report } = shop;
  await report('Resolving the fbc fragments');
  const resolved: string[] = [];
  for (const fragment of payload.fbc_fragments) resolved.push(await serviceRegistry.resolve(fragment));

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
    learned: {
      from_index_resolved: index.resolved,
      fbc_fragments_resolved: resolved,
      ...(payload.fbc_fragment === null ? {} : { fbc_fragment_resolved: resolved[0] as string }),
    },
  });

  const destination = destinationOf(index, shop, { overwrite: payload.overwrite_from_index });
  const bench = await openBench(shop, destination, image.opm);
  const indexDb = await openIndexDb(bench, index);
  const { packages, moved } = await addFragments(bench, indexDb.path, resolved);

  return changedIndex(shop, {
    request: id,
    index,
    destination,
    image,
    commit: {
      subject: `IIB: Add data from FBC fragments for request ${id}`,
      body: `FBC fragments: ${payload.fbc_fragments.join(', ')}`,
    },
    packages,
    indexDb: indexDb.path,
    shared: indexDb.from,
    artifact: { type: 'fbc_operations', operators: moved },
    buildTags: payload.build_tags,
    failurePrefix: 'Failed to add FBC fragment: ',
    // The verb is upstream's, and clients read it.
    done: `The operator(s) ${pythonList(moved)} were successfully removed from the index image`,
    records: 'all',
  });
}

interface Fragment {
  /** Its unpacked catalog folder. */
  dir: string;
  packages: string[];
}

/** Replaces packages of the catalog by the fragments', the later one winning; those in the database leave it. */
async function addFragments(
  bench: Bench,
  db: string,
  images: readonly string[],
): Promise<{ packages: PackageChange[]; moved: string[] }> {
  const { shop, tree, opm, around } = bench;
  await shop.report('Adding fbc fragment');
  await shop.report(`Extracting operator packages from ${images.length} fbc fragment(s)`);
  const fragments: Fragment[] = [];
  for (const [at, image] of images.entries()) fragments.push(await unpack(image, `fragment-${at + 1}`, shop));

  const names = [...new Set(fragments.flatMap(({ packages }) => packages))].sort();
  const before = await readReplaced(bench, names);
  const moved = packagesIn(db).filter((name) => names.includes(name));
  for (const name of moved) await removeDeprecations(tree, name);
  const touched = await engineOf(bench).removePackages(db, moved);
  const others = await bringOver(
    bench,
    db,
    touched.filter((name) => !names.includes(name)),
  );

  for (const [at, { dir, packages }] of fragments.entries()) {
    const number = `${at + 1}/${fragments.length}`;
    await shop.report(`Adding package(s) ${pythonList(packages)} from fbc fragment ${number} to from_index`);
    for (const name of packages) await replacePackage(tree, name, dir);
  }
  const origins = [...new Map(fragments.flatMap(({ dir, packages }) => packages.map((name) => [name, dir] as const)))];
  await validatePackages(
    opm,
    tree,
    names,
    around,
    origins.flatMap(([name, dir]) => Object.values(foldersOfFragment(dir, name))),
  );
  return { packages: [...changesBetween(before, await readPackages(tree, names), names), ...others], moved };
}

/** Each fragment has a folder of its own: in a shared one they would mix. */
async function unpack(image: string, folder: string, { serviceRegistry, scratch, log }: Workshop): Promise<Fragment> {
  const dir = join(scratch, folder);
  await extractDirectory({ client: serviceRegistry, image, directory: CATALOG_PATH, to: dir }).catch((thrown) => {
    // Without the folder there is nothing to read below, and that says it in the words clients know.
    if (!(thrown instanceof Failure) || thrown.code !== 'image_directory_missing') throw thrown;
  });
  const { packages, strangers } = await readFragment({ dir, path: CATALOG_PATH, image });
  if (strangers.length > 0) {
    log.warn({ image, packages: strangers }, 'deprecations of packages that the fragment does not bring are left out');
  }
  return { dir, packages };
}
