import { resolve } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as migrateTables } from 'drizzle-orm/node-postgres/migrator';
import { Logger, runMigrations } from 'graphile-worker';
import { Client } from 'pg';
import { asDatabaseFailure } from './failure.ts';

const FOLDER = resolve(import.meta.dirname, '../../migrations');
/** Any number, the same for all versions of the service: one migrator at a time. */
const LOCK = 4_242_001;

/**
 * Brings a database to this version: our tables (migrations/), then graphile-worker's. Safe to run from many processes
 * at once; a no-op when nothing is missing.
 *
 * @throws Failure `database_unavailable` when Postgres cannot be reached
 */
export async function migrate(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    // drizzle's migrator takes no lock of its own: of four at once on an empty database three failed.
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await migrateTables(drizzle({ client }), { migrationsFolder: FOLDER });
    await runMigrations({ connectionString: databaseUrl, logger: new Logger(() => () => {}) });
  } catch (thrown) {
    throw asDatabaseFailure(thrown);
  } finally {
    await client.end();
  }
}
