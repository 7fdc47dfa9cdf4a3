import { Client, type Pool } from 'pg';
import type { Log } from '../telemetry/log.ts';

/** Class of our advisory locks; the second number is the hash of a graphile-worker pool's id. */
const LOCK_CLASS = 4242;
const SWEEP_EVERY = 1000;
/** Seconds a job that failed waits at most; one for each time it failed. */
const LONGEST_WAIT = 5;

/** Milliseconds between two looks whether the pulse's connection still carries, and the longest wait for its answer. */
const BEAT_EVERY = 2000;
const BEAT_TIMEOUT = 5000;
/**
 * Milliseconds without a query after which the server ends the lock's connection. A process that is frozen (SIGSTOP, a
 * paused virtual machine) sends none while its line stays up. A worker that only was too busy has lost its jobs as well:
 * it learns so from its connection.
 */
const LONGEST_SILENCE = 15_000;
/** The server drops a vanished client after 9 + 3 × 2 s. By then the client has stopped its own jobs, after 7 s at most. */
const KEEPALIVE = 'set tcp_keepalives_idle = 9; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3';

/**
 * Says "I live" for one graphile-worker pool by holding an advisory lock on a connection of its own: the lock goes
 * when the process does. graphile-worker itself would take four hours to notice (feasibility.md §3).
 *
 * @param onLost called once when the connection is gone: the pool's jobs must stop, somebody else will take them
 * @param longestSilence milliseconds after which a frozen process loses the lock
 */
export async function holdPulse(
  databaseUrl: string,
  poolId: string,
  onLost: () => void,
  longestSilence: number = LONGEST_SILENCE,
): Promise<() => void> {
  const client = new Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: BEAT_TIMEOUT,
    query_timeout: BEAT_TIMEOUT,
  });
  let beat: NodeJS.Timeout | undefined;
  let released = false;
  const lost = () => {
    if (!released) onLost();
    released = true;
    clearInterval(beat);
  };
  client.on('error', lost);
  client.on('end', lost);
  await client.connect();
  await client.query(KEEPALIVE);
  await client.query(LIMIT_SILENCE, [String(longestSilence)]);
  await client.query('select pg_advisory_lock($1, hashtext($2))', [LOCK_CLASS, poolId]);
  beat = setInterval(() => client.query('select').catch(lost), Math.min(BEAT_EVERY, longestSilence / 4));
  return () => {
    released = true;
    clearInterval(beat);
    // Not waited for: on a line that is dead it would never end.
    client.end().catch(() => {});
  };
}

/** PostgreSQL before version 14 does not have the setting; there a frozen process keeps its jobs. */
const LIMIT_SILENCE = `
  select set_config(name, $1, false) from pg_settings where name = 'idle_session_timeout'`;

/**
 * At once and then every second: takes jobs and queues away from pools whose pulse has stopped, and brings forward jobs
 * that failed. Ours fail only when they must run again (a worker told to stop, a database away); graphile-worker would
 * let them wait for e^attempts seconds, six hours after ten deployments, and give them up at their last attempt.
 */
export function sweep(pool: Pool, log: Log): () => void {
  let sweeping = false;
  const once = async () => {
    if (sweeping) return;
    sweeping = true;
    try {
      const { rows } = await pool.query<{ dead: string[] }>(UNLOCK_DEAD, [LOCK_CLASS]);
      const dead = rows[0]?.dead ?? [];
      if (dead.length > 0) log.warn({ dead }, 'took over the jobs of workers that died');
      await pool.query(RETRY_SOON, [LONGEST_WAIT]);
    } catch (err) {
      log.debug({ err }, 'sweep for dead workers did not work; next try in a second');
    } finally {
      sweeping = false;
    }
  };
  void once();
  const timer = setInterval(once, SWEEP_EVERY);
  return () => clearInterval(timer);
}

const RETRY_SOON = `
  update graphile_worker._private_jobs
  set attempts = least(attempts, $1), run_at = least(run_at, now() + least(attempts, $1) * interval '1 second')
  where locked_at is null and attempts > 0
    and (attempts > $1 or run_at > now() + least(attempts, $1) * interval '1 second')`;

// pg_locks.objid is an unsigned oid and hashtext is signed.
const UNLOCK_DEAD = `
  with holders as (
    select locked_by from graphile_worker._private_jobs where locked_by is not null
    union
    select locked_by from graphile_worker._private_job_queues where locked_by is not null
  ), dead as (
    select array_agg(locked_by) as ids from holders
    where not exists (
      select from pg_locks
      where locktype = 'advisory' and granted and classid = $1::int::oid and objsubid = 2
        and objid = (hashtext(locked_by)::bigint & 4294967295)::oid
        and database = (select oid from pg_database where datname = current_database())
    )
  ), unlocked as (
    select graphile_worker.force_unlock_workers(ids) from dead where ids is not null
  )
  select coalesce(ids, '{}') as dead from dead where (select count(*) from unlocked) >= 0`;
