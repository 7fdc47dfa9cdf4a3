import { Client, type Pool } from 'pg';
import type { Log } from '../telemetry/log.ts';

/** Class of our advisory locks; the second number is the hash of a graphile-worker pool's id. */
const LOCK_CLASS = 4242;
const SWEEP_EVERY = 1000;

/**
 * Says "I live" for one graphile-worker pool by holding an advisory lock on a connection of its own: the lock goes
 * when the process does. graphile-worker itself would take four hours to notice (feasibility.md §3).
 *
 * @param onLost called once when the connection is gone: the pool's jobs must stop, somebody else will take them
 */
export async function holdPulse(databaseUrl: string, poolId: string, onLost: () => void): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: databaseUrl, keepAlive: true, keepAliveInitialDelayMillis: 5000 });
  let released = false;
  const lost = () => {
    if (!released) onLost();
    released = true;
  };
  client.on('error', lost);
  client.on('end', lost);
  await client.connect();
  await client.query('select pg_advisory_lock($1, hashtext($2))', [LOCK_CLASS, poolId]);
  return async () => {
    released = true;
    await client.end();
  };
}

/** Once a second, takes jobs and queues away from pools whose pulse has stopped. */
export function sweepDead(pool: Pool, log: Log): () => void {
  let sweeping = false;
  const timer = setInterval(async () => {
    if (sweeping) return;
    sweeping = true;
    try {
      const { rows } = await pool.query<{ dead: string[] }>(UNLOCK_DEAD, [LOCK_CLASS]);
      const dead = rows[0]?.dead ?? [];
      if (dead.length > 0) log.warn({ dead }, 'took over the jobs of workers that died');
    } catch (err) {
      log.debug({ err }, 'sweep for dead workers did not work; next try in a second');
    } finally {
      sweeping = false;
    }
  }, SWEEP_EVERY);
  return () => clearInterval(timer);
}

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
