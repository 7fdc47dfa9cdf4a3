import { join } from 'node:path';
import { changesBetween, type PackageChange } from '../../catalog/changes.ts';
import { emptyCatalog } from '../../catalog/files.ts';
import { emptyIndexDb, packagesIn } from '../../catalog/index-db.ts';
import { validateDir } from '../../catalog/opm-commands.ts';
import { asFailure, describe } from '../../errors/failure.ts';
import { artifactTagFor } from '../../registry/artifact.ts';
import { type Bench, openBench, openIndexDb } from '../bench.ts';
import { changedIndex, decideImage, destinationOf } from '../index-change.ts';
import { type IndexFacts, readIndex } from '../prepare-index.ts';
import { type Changed, requestWork, type WorkItem, type Workshop } from '../work.ts';
import { CreateEmptyIndexPayload } from './payload.ts';

/** Makes an index without packages out of one with (request-handling.md §10.5). It never overwrites anything. */
export const createEmptyIndex = requestWork<CreateEmptyIndexPayload>({
  payload: CreateEmptyIndexPayload,
  tokens: () => [],
  overwrites: () => null,
  async destination({ payload }, reading) {
    return destinationOf(await readIndex(payload.from_index, reading), reading, { overwrite: false });
  },
  change,
});

async function change({ id, payload }: WorkItem<CreateEmptyIndexPayload>, shop: Workshop): Promise<Changed> {
  const { config, report } = shop;
  await report('Preparing request for build');
  await report('Resolving the container images');
  const index = await readIndex(payload.from_index, shop);
  const image = await decideImage(shop, {
    reference: index,
    present: [index],
    // Upstream takes the index's scope, whatever the request says.
    requested: { scope: null, binaryImage: payload.binary_image, addArches: [] },
    learned: { from_index_resolved: index.resolved },
  });

  const destination = destinationOf(index, shop, { overwrite: false });
  const bench = await openBench(shop, destination, image.opm);
  const indexDb = await emptyDatabase(bench, index);
  await report('Creating empty FBC catalog directory');
  const packages = await emptyTree(bench);
  await report('Validating empty catalog');
  await validateDir(bench.opm, bench.tree.configsDir, bench.around);

  return changedIndex(shop, {
    request: id,
    index,
    destination,
    image,
    commit: {
      subject: `IIB: Create empty index for request ${id}`,
      body: `Creating empty index image from ${index.spec}`,
    },
    packages,
    indexDb,
    shared: { tag: artifactTagFor(config.registry, index.tag), digest: null },
    artifact: { type: 'create_empty_index', operators: [] },
    buildTags: [],
    ...(payload.labels === null ? {} : { labels: payload.labels }),
    failurePrefix: 'Failed to create empty index: ',
    done: 'The empty index image was successfully created',
    records: 'imageAlone',
  });
}

/** The empty database that is kept for the index, or else a new one. */
async function emptyDatabase(bench: Bench, index: IndexFacts): Promise<string> {
  const { shop, opm, around } = bench;
  await shop.report('Fetching empty index database');
  try {
    const kept = await openIndexDb(bench, index, 'empty');
    if (packagesIn(kept.path).length === 0) return kept.path;
    shop.log.warn(`the empty index database ${kept.from.tag} is not empty`);
  } catch (thrown) {
    // Absent or unusable; a registry that does not answer now is no reason to do without it.
    if (asFailure(thrown).verdict !== 'user') throw thrown;
    shop.log.info(`no empty index database: ${describe(thrown)}`);
  }
  await shop.report('Creating empty index database from from_index');
  // Removing every package from the index's own gives the same, but takes opm 262 s for one package of a large index
  // (opm-and-index-db.md, yardstick) and leaves stranded bundles behind.
  const path = join(shop.scratch, 'index.db');
  await emptyIndexDb(opm, path, around);
  return path;
}

/** Told by name only: reading every package would fetch the whole catalog for a merge request that nobody merges. */
async function emptyTree({ tree }: Bench): Promise<PackageChange[]> {
  const unread = { defaultChannel: '', channels: new Map(), bundles: new Map(), deprecated: new Set<string>() };
  const names = await emptyCatalog(tree);
  return changesBetween(
    names.map((name) => ({ name, ...unread })),
    [],
  );
}
