import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { type Postgres, startPostgres } from '../../src/sandbox/postgres.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { startRunner } from '../../src/worker/runner.ts';

// A server of its own: it is restarted under the runner's feet.
let dir: string;
let port: number;
let postgres: Postgres;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-runner-'));
  port = await freePort();
  postgres = await startPostgres({ dir, port });
  await migrate(postgres.url);
});
afterAll(async () => {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => query('delete from graphile_worker._private_jobs'));

async function query(sql: string, values: unknown[] = []) {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  try {
    return (await client.query(sql, values)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

const addJob = (number: number, queue: string | null) =>
  query(`select graphile_worker.add_job('count', json_build_object('number', $1::int), queue_name := $2)`, [
    number,
    queue,
  ]);

/** A runner whose jobs say their number; `seen` resolves when so many have been said, `reached` with that very one. */
function counting(work: (number: number) => Promise<void> = async () => {}) {
  const numbers: number[] = [];
  const waiting: { ready: () => boolean; resolve: () => void }[] = [];
  const runner = startRunner({
    databaseUrl: postgres.url,
    concurrency: 5,
    log: createLog('silent', 'test'),
    tasks: () => ({
      count: async (payload) => {
        const { number } = payload as { number: number };
        await work(number);
        numbers.push(number);
        for (const { ready, resolve } of waiting) if (ready()) resolve();
      },
    }),
  });
  const until = (ready: () => boolean) =>
    new Promise<void>((resolve) => (ready() ? resolve() : waiting.push({ ready, resolve })));
  return {
    ...runner,
    numbers,
    seen: (count: number) => until(() => numbers.length >= count),
    reached: (number: number) => until(() => numbers.includes(number)),
  };
}

describe('the runner', () => {
  test('runs the jobs of a lane one after the other, in order', async () => {
    for (let number = 1; number <= 8; number += 1) await addJob(number, 'lane');
    let running = 0;
    let most = 0;
    const runner = counting(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((next) => setImmediate(next));
      running -= 1;
    });
    await runner.seen(8);
    await runner.stop();
    expect(runner.numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(most).toBe(1);
  });

  test('leaves nothing locked when it stops', async () => {
    await addJob(1, 'lane');
    await addJob(2, null);
    const runner = counting();
    await runner.seen(2);
    await runner.stop();
    expect(await query('select * from graphile_worker._private_jobs')).toEqual([]);
    expect(await query('select * from graphile_worker._private_job_queues where locked_by is not null')).toEqual([]);
  });

  test('takes over the jobs and the lane of a worker that died', async () => {
    await addJob(1, 'lane');
    await query(`update graphile_worker._private_jobs set locked_by = 'pool-dead', locked_at = now(), attempts = 1`);
    await query(`update graphile_worker._private_job_queues set locked_by = 'pool-dead', locked_at = now()`);
    const runner = counting();
    await runner.seen(1);
    await runner.stop();
    expect(runner.numbers).toEqual([1]);
  });

  test('runs a job that failed again in seconds, however often it has failed, and never gives it up', async () => {
    await addJob(1, 'lane');
    await query(`update graphile_worker._private_jobs
      set attempts = 1000, max_attempts = 1000, last_error = 'stopped', run_at = now() + interval '6 hours'`);
    const runner = counting();
    await runner.seen(1);
    await runner.stop();
    expect(runner.numbers).toEqual([1]);
  });

  test('takes all jobs whose time has come, though nobody announces them', async () => {
    const runner = counting(() => new Promise((next) => setTimeout(next, 50)));
    await query(`select graphile_worker.add_job('count', json_build_object('number', number),
      run_at := now() + interval '500 ms') from generate_series(1, 20) as number`);
    await runner.seen(20);
    await runner.stop();
    expect(runner.numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('goes on after the database was restarted', async () => {
    const runner = counting();
    await addJob(1, 'lane');
    await runner.seen(1);
    await postgres.stop();
    postgres = await startPostgres({ dir, port });
    await addJob(2, 'lane');
    // A job whose end could not be written down any more runs again: at least once is what a queue can promise.
    await runner.reached(2);
    await runner.stop();
    expect([...new Set(runner.numbers)]).toEqual([1, 2]);
  });

  test('goes on after the ends of jobs could not be written down', async () => {
    await query('create sequence refused');
    await query(`create function refuse() returns trigger language plpgsql as
      $$ begin perform nextval('refused'); raise 'not now'; end $$`);
    await query(
      'create trigger refuse before delete on graphile_worker._private_jobs for each row execute function refuse()',
    );
    const refusals = async () => {
      const [row] = await query('select case when is_called then last_value::int else 0 end as count from refused');
      return row?.count as number;
    };
    for (let number = 1; number <= 4; number += 1) await addJob(number, null);
    // One end after the other is refused while the last job is still at work.
    const runner = counting((number) => expect.poll(refusals, { timeout: 30_000 }).toBeGreaterThanOrEqual(number - 1));
    await runner.reached(4);
    await query('drop trigger refuse on graphile_worker._private_jobs');
    await expect.poll(() => query('select id from graphile_worker._private_jobs'), { timeout: 30_000 }).toEqual([]);
    await runner.stop();
  });
});
