import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundlesIn, emptyIndexDb, packagesIn, upgradeIndexDb } from '../../src/catalog/index-db.ts';
import { opmNamed } from './world.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-index-db-'));
});
afterAll(() => rm(dir, { recursive: true }));

const refused = (message: string) => expect.objectContaining({ code: 'index_db_invalid', message });

test('files that are no index.db are told apart, and never changed', async () => {
  const path = (name: string) => join(dir, name);
  expect(() => bundlesIn(path('absent'))).toThrow(refused('The index database cannot be opened'));

  await writeFile(path('text'), 'x'.repeat(5000));
  expect(() => packagesIn(path('text'))).toThrow(refused('The file is no index database'));

  await writeFile(path('nothing'), '');
  expect(() => packagesIn(path('nothing'))).toThrow(refused('The file is a database, but no index of operators'));

  const other = new DatabaseSync(path('views'));
  other.exec(`create table t (version); insert into t values (13);
    create view schema_migrations as select * from t; create view package as select 1 as name`);
  other.close();
  expect(() => packagesIn(path('views'))).toThrow(refused('The file is a database, but no index of operators'));

  const half = new DatabaseSync(path('half'));
  half.exec('create table schema_migrations (version); insert into schema_migrations values (13)');
  half.close();
  expect(() => packagesIn(path('half'))).toThrow(
    refused(
      'The index database lacks the tables channel, channel_entry, deprecated, operatorbundle, package, properties',
    ),
  );
});

test('an older schema is brought up to date by opm, a newer one refused', async () => {
  const opm = await opmNamed('opm-v1.73.0');
  const db = join(dir, 'index.db');
  await emptyIndexDb(opm, db);
  await upgradeIndexDb(opm, db, {});
  expect(packagesIn(db)).toEqual([]);
  const change = (sql: string) => {
    const writable = new DatabaseSync(db);
    writable.exec(sql);
    writable.close();
  };
  // Migration 13 changes rows only.
  change('update schema_migrations set version = 12');
  expect(() => packagesIn(db)).toThrow(refused('The index database has schema 12; 13 is needed'));
  await upgradeIndexDb(opm, db, {});
  expect(packagesIn(db)).toEqual([]);
  change('update schema_migrations set version = 14');
  await expect(upgradeIndexDb(opm, db, {})).rejects.toEqual(
    refused('The index database has schema 14; the newest known is 13'),
  );
});
