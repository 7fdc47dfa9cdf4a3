import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/db/migrate.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { administer, startPostgres } from '../../src/sandbox/postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser's URL of the one server that all test files share. */
    postgresUrl: string;
  }
}

export const TEMPLATE = 'indexwright_template';

/** One PostgreSQL for the whole run with a migrated template database; test files copy the template. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-postgres-'));
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' };
  const server = await startPostgres({ dir, port: await freePort(), settings });
  const end = async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await administer(server.url, `create database ${TEMPLATE}`);
    await migrate(server.url.replace(/\/postgres$/, `/${TEMPLATE}`));
  } catch (failure) {
    await end();
    throw failure;
  }
  project.provide('postgresUrl', server.url);
  return end;
}
