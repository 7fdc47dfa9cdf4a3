import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { expect, inject, test } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { administer } from '../../src/sandbox/postgres.ts';
import { freshDatabase } from '../support/database.ts';

test('many processes may migrate an empty database at once', async () => {
  const server = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const url = server.replace(/\/postgres$/, `/${name}`);
  await administer(server, `create database ${name}`);
  try {
    await Promise.all([migrate(url), migrate(url), migrate(url), migrate(url)]);
    const database = openDatabase(url);
    const { rows } = await database.pool.query('select count(*)::int as n from drizzle.__drizzle_migrations');
    expect(rows[0].n).toBeGreaterThan(0);
    await database.close();
  } finally {
    await administer(server, `drop database ${name} with (force)`);
  }
});

test('a database that is not there is unavailable, at once', async () => {
  const url = `postgresql://nobody@127.0.0.1:${await freePort()}/none`;
  const database = openDatabase(url);
  const unavailable = { code: 'database_unavailable', message: 'The database is not reachable' };
  await expect(database.read((db) => db.execute(sql`select 1`))).rejects.toMatchObject(unavailable);
  await expect(database.transaction((tx) => tx.execute(sql`select 1`))).rejects.toMatchObject(unavailable);
  await expect(migrate(url)).rejects.toMatchObject(unavailable);
  await database.close();
});

test('connections that break are told of and replaced', async () => {
  const { url, database, drop } = await freshDatabase();
  const lost: Error[] = [];
  const own = openDatabase(url, { onLost: (error) => lost.push(error) });
  try {
    const { rows } = await own.pool.query('select pg_backend_pid() as pid');
    await database.pool.query('select pg_terminate_backend($1::int, 5000)', [rows[0].pid]);
    await expect.poll(() => lost.length).toBeGreaterThan(0);
    expect((await own.read((db) => db.execute(sql`select 1 as one`))).rows).toEqual([{ one: 1 }]);
    const cut = own.transaction((tx) => tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`));
    await expect(cut).rejects.toMatchObject({ code: 'database_unavailable' });
  } finally {
    await own.close();
    await drop();
  }
});

test('a query that hangs is given up', async () => {
  const { url, drop } = await freshDatabase();
  const database = openDatabase(url, { queryTimeout: 200 });
  try {
    const hanging = database.read((db) => db.execute(sql`select pg_sleep(5)`));
    await expect(hanging).rejects.toMatchObject({ code: 'database_unavailable' });
  } finally {
    await database.close();
    await drop();
  }
});
