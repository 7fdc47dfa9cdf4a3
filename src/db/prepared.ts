import type { SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import type { Database } from './pool.ts';

/** Runs a statement with values for its placeholders. @returns its rows */
export type Prepared = (db: Database, values: Record<string, unknown>) => Promise<unknown[]>;

/**
 * A statement that is written once, and that each connection plans once.
 *
 * @param name its name in every connection; no other statement may have it
 */
export function prepared(name: string, statement: SQL): Prepared {
  const query = new PgDialect().sqlToQuery(statement);
  return async (db, values) => {
    const { rows } = (await db._.session.prepareQuery(query, undefined, name, false).execute(values)) as {
      rows: unknown[];
    };
    return rows;
  };
}
