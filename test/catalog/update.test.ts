import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assertNoSubstitutionCycle } from '../../src/bundle/substitutions.ts';
import type { IndexDbEngine } from '../../src/catalog/engine.ts';
import { bundlesIn, emptyIndexDb, packagesIn, substitutionsIn } from '../../src/catalog/index-db.ts';
import { packageModels } from '../../src/catalog/model.ts';
import type { Opm } from '../../src/catalog/opm.ts';
import { render } from '../../src/catalog/opm-commands.ts';
import type { CatalogTree } from '../../src/catalog/tree.ts';
import { updateFromDb } from '../../src/catalog/update.ts';
import { wholeDatabaseEngine } from '../../src/catalog/whole-database.ts';
import {
  directoryTree,
  OPMS,
  openWorld,
  opmNamed,
  parseRendered,
  REAL_BUNDLES,
  readerOf,
  realBundlesAreThere,
  type World,
} from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

/** An index: its database and its catalog. */
interface Index {
  opm: Opm;
  engine: IndexDbEngine;
  db: string;
  tree: CatalogTree;
  update(packages: string[], emptied?: string[]): ReturnType<typeof updateFromDb>;
  catalogOf(name: string): Promise<string>;
}

async function index(opmName: string): Promise<Index> {
  const opm = await opmNamed(opmName);
  const engine = wholeDatabaseEngine(opm, world.around, { deprecateLimit: 200 });
  const db = world.path('index.db');
  await emptyIndexDb(opm, db);
  const tree = directoryTree(world.path('configs'), await readerOf(opmName, world.around));
  const scratch = world.around.scratch ?? '';
  return {
    opm,
    engine,
    db,
    tree,
    update: (packages, emptied = []) =>
      updateFromDb({ engine, opm, around: world.around, db, tree, packages, emptied, scratch }),
    catalogOf: (name) => readFile(join(tree.configsDir, name, 'catalog.json'), 'utf8'),
  };
}

describe.each(OPMS)('examples with %s', (opmName) => {
  test('only what changed is written, again and again', async () => {
    const { engine, db, tree, update, catalogOf } = await index(opmName);
    const spec = (name: string, version: string) => world.bundle(name, version);
    const first = await update(
      await engine.addBundles(db, [await spec('lighthouse', '1.0.0'), await spec('harbor-pilot', '0.3.0')]),
    );
    expect(first.map((change) => [change.package, change.kind])).toEqual([
      ['harbor-pilot', 'added'],
      ['lighthouse', 'added'],
    ]);
    const pilot = join(tree.configsDir, 'harbor-pilot/catalog.json');
    const before = await stat(pilot);

    const [second, ...others] = await update(await engine.addBundles(db, [await spec('lighthouse', '1.1.0')]));
    expect(others).toEqual([]);
    expect(second).toMatchObject({
      package: 'lighthouse',
      bundles: { added: [{ name: 'lighthouse.v1.1.0', version: '1.1.0' }] },
      channels: [
        { name: 'fast', kind: 'added' },
        { name: 'stable', heads: { before: ['lighthouse.v1.0.0'], after: ['lighthouse.v1.1.0'] } },
      ],
    });

    // All packages migrated once more: nothing is touched.
    expect(await update(packagesIn(db))).toEqual([]);
    expect((await stat(pilot)).ino).toBe(before.ino);
    expect(await catalogOf('lighthouse')).toContain('lighthouse.v1.1.0');

    await update(await engine.addBundles(db, [await spec('harbor-pilot', '0.4.0')]));
    const gone = await update(await engine.removePackages(db, ['lighthouse']));
    expect(gone.map((change) => [change.package, change.kind])).toEqual([['lighthouse', 'removed']]);
    expect(await tree.packages()).toEqual(['harbor-pilot']);
  });
});

describe.skipIf(!realBundlesAreThere)(`real operators (skipped without ${REAL_BUNDLES})`, () => {
  test.each(OPMS)('etcd grows and loses its tail with %s', async (opmName) => {
    const { engine, opm, db, update, catalogOf } = await index(opmName);
    const specs = new Map<string, string>();
    for (const version of ['0.6.1', '0.9.0', '0.9.2', '0.9.4']) specs.set(version, await world.bundle('etcd', version));
    const spec = (version: string) => specs.get(version) ?? '';

    await update(await engine.addBundles(db, [spec('0.6.1'), spec('0.9.0')]));
    const grown = await update(await engine.addBundles(db, [spec('0.9.2'), spec('0.9.4')]));
    expect(grown[0]?.bundles.added.map(({ version }) => version)).toEqual(['0.9.2', '0.9.4']);
    // The catalog is what opm itself makes of the whole database.
    const modelsOf = (text: string) => packageModels(parseRendered(text));
    expect(modelsOf(await catalogOf('etcd'))).toEqual(modelsOf(await render(opm, db, world.around)));
    expect(bundlesIn(db, ['etcd']).map(({ version }) => version)).toEqual(['0.6.1', '0.9.0', '0.9.2', '0.9.4']);

    const cut = await update(await engine.deprecate(db, [spec('0.9.2')]), ['etcd']);
    expect(cut[0]?.bundles.removed.map(({ version }) => version)).toEqual(['0.9.2']);
    // 0.9.0 was cut off here too, but heads another channel.
    expect(bundlesIn(db, ['etcd']).map(({ version, channels }) => [version, channels])).toEqual([
      ['0.6.1', ['alpha']],
      ['0.9.0', ['clusterwide-alpha']],
      ['0.9.4', ['singlenamespace-alpha']],
    ]);
  });

  test.each(OPMS)('prometheus is rebuilt by substitution with %s', async (opmName) => {
    const { engine, db, update } = await index(opmName);
    for (const version of ['0.14.0', '0.15.0', '0.22.2']) {
      await engine.addBundles(db, [await world.bundle('prometheus', version)]);
    }
    await update(packagesIn(db));
    const changes = await update(
      await engine.addBundles(db, [await world.bundle('prometheus', '0.15.0.substitutesfor')]),
    );
    expect(changes[0]?.bundles.added.map(({ name }) => name)).toEqual([
      'prometheusoperator.0.15.0+1-freshmaker-rebuild',
    ]);
    const known = substitutionsIn(db, ['prometheus']);
    expect(known).toEqual([
      { name: 'prometheusoperator.0.15.0+1-freshmaker-rebuild', substitutesFor: 'prometheusoperator.0.15.0' },
    ]);
    const back = {
      name: 'prometheusoperator.0.15.0',
      substitutesFor: 'prometheusoperator.0.15.0+1-freshmaker-rebuild',
    };
    expect(() => assertNoSubstitutionCycle([...known, back])).toThrow('substitute for one another in a circle');
  });
});
