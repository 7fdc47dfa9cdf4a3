import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { type DatabasePool, openDatabase } from '../../src/db/pool.ts';
import { administer } from '../../src/sandbox/postgres.ts';
import { TEMPLATE } from './postgres-global.ts';

export interface TestDatabase {
  url: string;
  database: DatabasePool;
  /** Closes the pool and drops the database. */
  drop(): Promise<void>;
}

/** A database of its own with all tables, copied from the run's template (about 70 ms). Call `drop` in afterAll. */
export async function freshDatabase(): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name} template ${TEMPLATE}`);
  const url = server.replace(/\/postgres$/, `/${name}`);
  const database = openDatabase(url);
  return {
    url,
    database,
    async drop() {
      await database.close();
      await administer(server, `drop database ${name} with (force)`);
    },
  };
}
