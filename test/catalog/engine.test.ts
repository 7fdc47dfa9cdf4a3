import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IndexDbEngine } from '../../src/catalog/engine.ts';
import {
  bundlesIn,
  channelHeadsIn,
  emptyIndexDb,
  hasPackage,
  packagesIn,
  substitutionsIn,
} from '../../src/catalog/index-db.ts';
import { packageModels } from '../../src/catalog/model.ts';
import type { Opm } from '../../src/catalog/opm.ts';
import { render } from '../../src/catalog/opm-commands.ts';
import { wholeDatabaseEngine } from '../../src/catalog/whole-database.ts';
import type { ErrorCode } from '../../src/errors/policy.ts';
import { OPMS, openWorld, opmNamed, parseRendered, type World } from './world.ts';

let world: World;
/** Pull spec by digest of an example: `spec('lighthouse', '1.0.0')`. */
const specs = new Map<string, string>();
const spec = (name: string, version: string) => specs.get(`${name} ${version}`) ?? '';
const lighthouse = (version: string) => spec('lighthouse', version);

beforeAll(async () => {
  world = await openWorld();
  for (const version of ['1.0.0', '1.1.0', '1.2.0'])
    specs.set(`lighthouse ${version}`, await world.bundle('lighthouse', version));
  for (const version of ['0.3.0', '0.4.0'])
    specs.set(`harbor-pilot ${version}`, await world.bundle('harbor-pilot', version));
});
afterAll(() => world?.close());

const failure = (code: ErrorCode, message: string | RegExp) =>
  expect.objectContaining({
    code,
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  });

describe.each(OPMS)('the whole database with %s', (name) => {
  let opm: Opm;
  let engine: IndexDbEngine;

  beforeAll(async () => {
    opm = await opmNamed(name);
    engine = wholeDatabaseEngine(opm, world.around, { deprecateLimit: 200 });
  });

  async function database(...bundles: string[]): Promise<string> {
    const db = world.path('index.db');
    await emptyIndexDb(opm, db);
    await engine.addBundles(db, bundles);
    return db;
  }

  test('an empty database has no packages and migrates to an empty catalog', async () => {
    const db = await database();
    expect(packagesIn(db)).toEqual([]);
    const out = world.path('out');
    expect(await engine.migrate(db, out)).toEqual([]);
    expect(await readdir(out)).toEqual([]);
  });

  test('added bundles are listed as opm renders them', async () => {
    const db = await database(lighthouse('1.0.0'), lighthouse('1.1.0'), spec('harbor-pilot', '0.3.0'));
    expect(bundlesIn(db)).toEqual([
      {
        package: 'harbor-pilot',
        name: 'harbor-pilot.v0.3.0',
        version: '0.3.0',
        image: spec('harbor-pilot', '0.3.0'),
        channels: ['alpha'],
      },
      {
        package: 'lighthouse',
        name: 'lighthouse.v1.0.0',
        version: '1.0.0',
        image: lighthouse('1.0.0'),
        channels: ['fast', 'stable'],
      },
      {
        package: 'lighthouse',
        name: 'lighthouse.v1.1.0',
        version: '1.1.0',
        image: lighthouse('1.1.0'),
        channels: ['fast', 'stable'],
      },
    ]);
    expect(bundlesIn(db, ['harbor-pilot'])).toHaveLength(1);
    expect(hasPackage(db, 'lighthouse')).toBe(true);
    expect(hasPackage(db, 'light')).toBe(false);
    expect(substitutionsIn(db, ['lighthouse'])).toEqual([]);
    expect(await renderedImages(opm, db)).toEqual(
      bundlesIn(db)
        .map(({ image }) => image)
        .sort(),
    );
  });

  test('an add tells which packages changed, and nothing to add changes nothing', async () => {
    const db = await database(lighthouse('1.0.0'), spec('harbor-pilot', '0.3.0'));
    expect(await engine.addBundles(db, [])).toEqual([]);
    expect(await engine.addBundles(db, [lighthouse('1.1.0')])).toEqual(['lighthouse']);
    expect(await engine.addBundles(db, [lighthouse('1.2.0'), spec('harbor-pilot', '0.4.0')])).toEqual([
      'harbor-pilot',
      'lighthouse',
    ]);
  });

  test('semver mode tells of the packages it strips without being asked', async () => {
    const db = await database(lighthouse('1.0.0'), lighthouse('1.1.0'), lighthouse('1.2.0'));
    expect(await engine.addBundles(db, [spec('harbor-pilot', '0.3.0')], { mode: 'semver' })).toEqual([
      'harbor-pilot',
      'lighthouse',
    ]);
  });

  test('failures say what opm says, and leave the database as it was', async () => {
    const db = await database(lighthouse('1.0.0'));
    const before = await readFile(db);
    const add = (bundle: string) => engine.addBundles(db, [bundle]);
    await expect(add(lighthouse('1.0.0'))).rejects.toEqual(
      failure(
        'opm_refused',
        `Failed to add the bundles to the index image: [Bundle ${lighthouse('1.0.0')} already exists, Bundle already added that provides package and csv]`,
      ),
    );
    await expect(add(`${world.host}/lighthouse:1.0.0`)).rejects.toEqual(
      failure(
        'opm_refused',
        'Failed to add the bundles to the index image: Bundle already added that provides package and csv',
      ),
    );
    await expect(add(lighthouse('1.2.0'))).rejects.toEqual(
      failure(
        'opm_refused',
        'Failed to add the bundles to the index image: Invalid bundle lighthouse.v1.2.0, replaces nonexistent bundle lighthouse.v1.1.0',
      ),
    );
    await expect(add(`${world.host}/lighthouse:9`)).rejects.toEqual(
      failure('opm_refused', /^Failed to add the bundles to the index image: \[error resolving .*not found/),
    );
    await expect(add('127.0.0.1:9/lighthouse:9')).rejects.toEqual(
      failure('registry_unavailable', /^Failed to add the bundles to the index image: .*connection refused/),
    );
    await expect(engine.removePackages(db, ['lighthouse', 'beacon'])).rejects.toEqual(
      failure('opm_refused', 'Error deleting packages from database'),
    );
    await expect(engine.deprecate(db, ['example.com/a/b@sha256:00'])).rejects.toEqual(
      failure(
        'opm_refused',
        /^Failed to deprecate the bundles on \d+-index.db: target bundlepaths for deprecation missing from registry: \[example.com\/a\/b@sha256:00\]$/,
      ),
    );
    expect((await readFile(db)).equals(before)).toBe(true);
    expect(await readdir(world.around.scratch ?? '')).toEqual([]);
    expect((await readdir(world.dir)).filter((entry) => entry.startsWith('.before'))).toEqual([]);
  });

  test('a killed opm is a crash and not a refusal', async () => {
    const db = await database(lighthouse('1.0.0'));
    const small = wholeDatabaseEngine({ ...opm, limits: { ...opm.limits, memory: 200 } }, world.around, {
      deprecateLimit: 200,
    });
    await expect(small.addBundles(db, [lighthouse('1.1.0')])).rejects.toEqual(
      failure('opm_crashed', /^Failed to add the bundles to the index image: /),
    );
    expect(bundlesIn(db)).toHaveLength(1);
  });

  test('packages are removed; missing ones can be ignored', async () => {
    const db = await database(lighthouse('1.0.0'), spec('harbor-pilot', '0.3.0'));
    expect(await engine.removePackages(db, ['lighthouse', 'beacon'], { missing: 'ignore' })).toEqual(['lighthouse']);
    expect(packagesIn(db)).toEqual(['harbor-pilot']);
  });

  test('a deprecated bundle stays as the tail and cuts what is below', async () => {
    const db = await database(lighthouse('1.0.0'), lighthouse('1.1.0'), lighthouse('1.2.0'));
    expect(await engine.deprecate(db, [lighthouse('1.0.0')])).toEqual(['lighthouse']);
    expect(bundlesIn(db).map(({ version }) => version)).toEqual(['1.1.0', '1.2.0']);
    expect(await renderedImages(opm, db)).toEqual(
      bundlesIn(db)
        .map(({ image }) => image)
        .sort(),
    );
  });

  test('a package goes when all its channel heads are deprecated together', async () => {
    const db = await database(lighthouse('1.0.0'), lighthouse('1.1.0'), lighthouse('1.2.0'));
    expect(channelHeadsIn(db, ['lighthouse'])).toEqual([
      { package: 'lighthouse', channel: 'fast', image: lighthouse('1.2.0'), isDefault: false },
      { package: 'lighthouse', channel: 'stable', image: lighthouse('1.1.0'), isDefault: true },
    ]);
    await expect(engine.deprecate(db, [lighthouse('1.1.0')])).rejects.toEqual(
      failure('opm_refused', /cannot deprecate default channel head from package without removing all other channel/),
    );
    expect(await engine.deprecate(db, [lighthouse('1.1.0'), lighthouse('1.2.0')])).toEqual(['lighthouse']);
    expect(packagesIn(db)).toEqual([]);
  });

  test('many deprecations go in several calls, a package in one', async () => {
    const db = await database(
      ...['1.0.0', '1.1.0', '1.2.0'].map(lighthouse),
      ...['0.3.0', '0.4.0'].map((version) => spec('harbor-pilot', version)),
    );
    const two = wholeDatabaseEngine(opm, world.around, { deprecateLimit: 2 });
    const images = [lighthouse('1.1.0'), spec('harbor-pilot', '0.3.0'), lighthouse('1.2.0')];
    expect(await two.deprecate(db, images)).toEqual(['harbor-pilot', 'lighthouse']);
    expect(packagesIn(db)).toEqual(['harbor-pilot']);
  });

  test('only the packages asked for are migrated', async () => {
    const db = await database(lighthouse('1.0.0'), spec('harbor-pilot', '0.3.0'));
    const out = world.path('out');
    expect(await engine.migrate(db, out, ['lighthouse', 'beacon'])).toEqual(['lighthouse']);
    expect(await readdir(out)).toEqual(['lighthouse']);
    const text = await readFile(join(out, 'lighthouse', 'catalog.json'), 'utf8');
    expect(text).toContain('olm.csv.metadata');
    expect(packageModels(parseRendered(text)).map((model) => model.name)).toEqual(['lighthouse']);
  });
});

async function renderedImages(opm: Opm, db: string): Promise<string[]> {
  const [...blobs] = parseRendered(await render(opm, db, world.around));
  return packageModels(blobs)
    .flatMap((model) => [...model.bundles.values()].map((bundle) => bundle.image))
    .sort();
}
