import type { ExtractTablesWithRelations } from 'drizzle-orm';
import { drizzle, type NodePgDatabase, type NodePgQueryResultHKT } from 'drizzle-orm/node-postgres';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import { Pool } from 'pg';
import { asDatabaseFailure } from './failure.ts';
import * as schema from './schema.ts';

type Schema = typeof schema;

/** What queries run on: the pool's drizzle, or a transaction of it. */
export type Database = PgDatabase<NodePgQueryResultHKT, Schema, ExtractTablesWithRelations<Schema>>;

export interface DatabasePool {
  pool: Pool;
  /** drizzle without translation of connection failures; prefer `read` and `transaction`. */
  db: NodePgDatabase<Schema>;
  /** Runs queries outside of a transaction. Fails `database_unavailable` when Postgres cannot be reached. */
  read<T>(work: (db: Database) => Promise<T>): Promise<T>;
  /** Runs `work` in one transaction, rolled back when it throws. Fails `database_unavailable` like `read`. */
  transaction<T>(work: (tx: Database) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Connections at most; 10 when not given. */
  max?: number;
  /** Milliseconds until a connection must be there, waiting for a free one included; 5000 when not given. */
  connectTimeout?: number;
  /** Milliseconds a query may take before it counts as lost; 15 000 when not given. */
  queryTimeout?: number;
  /** Told of connections that break while nobody waits for them; the pool replaces them by itself. */
  onLost?: (error: Error) => void;
}

/** Opens a pool; nothing is connected before the first query. */
export function openDatabase(url: string, options: DatabaseOptions = {}): DatabasePool {
  const lost = options.onLost ?? (() => {});
  const pool = new Pool({
    connectionString: url,
    max: options.max ?? 10,
    connectionTimeoutMillis: options.connectTimeout ?? 5000,
    query_timeout: options.queryTimeout ?? 15_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  // Without these listeners a broken connection ends the process (feasibility: a database restart did).
  pool.on('error', lost);
  pool.on('connect', (client) => client.on('error', lost));
  const db = drizzle({ client: pool, schema });
  const translated = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      throw asDatabaseFailure(thrown);
    }
  };
  return {
    pool,
    db,
    read: (work) => translated(() => work(db)),
    transaction: (work) => translated(() => db.transaction((tx) => work(tx))),
    close: () => pool.end(),
  };
}
