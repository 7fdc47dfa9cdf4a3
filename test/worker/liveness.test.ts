import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

async function holders(): Promise<number> {
  const { rows } = await database.database.pool.query(
    `select count(*)::int as count from pg_locks where locktype = 'advisory' and classid = 4242 and granted
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows[0].count;
}

test('a process that is frozen loses its liveness lock though its line stays up, and learns so when it goes on', async () => {
  const program = join(import.meta.dirname, 'pulse-process.ts');
  const child = spawn(process.execPath, [program, database.url, 'frozen-pool', '2000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout });
  expect(await once(lines, 'line')).toEqual(['held']);
  expect(await holders()).toBe(1);
  // Longer than the silence that is allowed: a process that lives keeps the lock.
  await new Promise((next) => setTimeout(next, 3000));
  expect(await holders()).toBe(1);

  child.kill('SIGSTOP');
  await expect.poll(holders).toBe(0);
  const lost = once(lines, 'line');
  child.kill('SIGCONT');
  expect(await lost).toEqual(['lost']);
});
