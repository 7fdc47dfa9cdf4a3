import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { freePort } from '../../src/sandbox/ports.ts';
import { startPostgres } from '../../src/sandbox/postgres.ts';

const root = mkdtempSync(join(tmpdir(), 'indexwright-pg-'));
chmodSync(root, 0o755);
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function ask(url: string, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

const postmaster = (dir: string) => Number(readFileSync(join(dir, 'data/postmaster.pid'), 'utf8').split('\n')[0]);

test('data is kept from run to run, and the port may change', async () => {
  const dir = join(root, 'kept');
  const first = await startPostgres({ dir, port: await freePort() });
  await ask(first.url, 'create table kept as select 42 as answer');
  await first.stop();
  const second = await startPostgres({ dir, port: await freePort(), settings: { work_mem: '5MB' } });
  expect(await ask(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  expect(await ask(second.url, 'show work_mem')).toEqual([{ work_mem: '5MB' }]);
  expect(await ask(second.url, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  await second.stop();
});

test('a server left behind is taken over on its port, replaced on another', async () => {
  const dir = join(root, 'left');
  const port = await freePort();
  await startPostgres({ dir, port });
  const pid = postmaster(dir);
  const adopted = await startPostgres({ dir, port });
  expect(postmaster(dir)).toBe(pid);
  expect(await ask(adopted.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const replaced = await startPostgres({ dir, port: await freePort() });
  expect(postmaster(dir)).not.toBe(pid);
  expect(await ask(replaced.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await replaced.stop();
});

test('a server that was killed starts again with what was committed', async () => {
  const dir = join(root, 'killed');
  const port = await freePort();
  const first = await startPostgres({ dir, port });
  await ask(first.url, 'create table kept as select 1 as one');
  process.kill(postmaster(dir), 'SIGKILL');
  const second = await startPostgres({ dir, port });
  expect(await ask(second.url, 'select one from kept')).toEqual([{ one: 1 }]);
  await second.stop();
});

test('a port that is taken is said, with the server’s own words as cause', async () => {
  const port = await freePort();
  const first = await startPostgres({ dir: join(root, 'one'), port });
  const second = startPostgres({ dir: join(root, 'two'), port });
  await expect(second).rejects.toMatchObject({
    code: 'process_failed',
    message: `PostgreSQL could not be started on port ${port}`,
    cause: expect.stringContaining('Address already in use'),
  });
  await first.stop();
});
