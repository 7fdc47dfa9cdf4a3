import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { asDatabaseFailure } from './failure.ts';

/** Milliseconds between two tries for the lock, and between two looks whether the connection still carries. */
const BEAT = 2000;
const BEAT_TIMEOUT = 5000;
/** Server side: the lock of a host that vanished is free after 9 + 3 × 2 s, when that host has given itself up already. */
const KEEPALIVE = 'set tcp_keepalives_idle = 9; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3';

/** The right to do something that one process of all does at a time. */
export interface Alone {
  /** Aborted when the right is lost or is to be given back. */
  signal: AbortSignal;
  /** Resolves when somebody has notified the channel since the last call, or after `milliseconds`. */
  notified(milliseconds: number): Promise<void>;
}

/**
 * Waits until no other process does the same, then runs `work`. The right is an advisory lock on a connection of its
 * own, which goes with the process; the same connection listens to the channel.
 *
 * @param lock any number, the same for all who do the same
 * @throws Failure `database_unavailable` when the connection cannot be had or breaks; the signal's reason; what `work` throws
 */
export async function watchAlone(
  databaseUrl: string,
  { lock, channel, signal }: { lock: number; channel: string; signal: AbortSignal },
  work: (alone: Alone) => Promise<void>,
): Promise<void> {
  const client = new Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: BEAT_TIMEOUT,
    query_timeout: BEAT_TIMEOUT,
  });
  const lost = new AbortController();
  const lose = (cause?: unknown) => lost.abort(asDatabaseFailure(cause ?? new Error('Connection terminated')));
  client.on('error', lose);
  client.on('end', () => lose());
  let news = false;
  let waiting = { resolve: () => {}, reject: (_reason: unknown) => {} };
  client.on('notification', () => {
    news = true;
    waiting.resolve();
  });
  const either = AbortSignal.any([signal, lost.signal]);
  either.addEventListener('abort', () => waiting.reject(either.reason));
  try {
    await client.connect();
    await client.query(KEEPALIVE);
    const tryLock = async () => {
      const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [lock]);
      return rows[0]?.held === true;
    };
    while (!(await tryLock())) await sleep(BEAT, undefined, { signal: either });
    await client.query(`listen ${client.escapeIdentifier(channel)}`);
    const beat = setInterval(() => client.query('select').catch(lose), BEAT);
    try {
      await work({
        signal: either,
        async notified(milliseconds) {
          either.throwIfAborted();
          if (!news) {
            const next = Promise.withResolvers<void>();
            waiting = next;
            const timer = setTimeout(next.resolve, milliseconds);
            await next.promise.finally(() => clearTimeout(timer));
          }
          news = false;
        },
      });
    } finally {
      clearInterval(beat);
    }
  } catch (thrown) {
    throw asDatabaseFailure(thrown);
  } finally {
    // Not waited for: on a line that is dead it would never end.
    client.end().catch(() => {});
  }
}
