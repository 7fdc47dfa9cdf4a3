import { setTimeout as sleep } from 'node:timers/promises';
import type { MessagingConfig } from '../config/schema.ts';
import {
  type Announcement,
  dropAllAnnouncements,
  dropAnnouncement,
  noteAttempt,
  oldestAnnouncements,
} from '../db/outbox.ts';
import type { DatabasePool } from '../db/pool.ts';
import { type Alone, watchAlone } from '../db/watch-alone.ts';
import { asFailure, describe, Failure } from '../errors/failure.ts';
import { type Patience, patiently } from '../errors/retry.ts';
import type { Log } from '../telemetry/log.ts';
import { type Broker, createBroker } from './broker.ts';
import type { Message } from './message.ts';

/** Any number, the same for all versions of the service: one process announces at a time. */
const LOCK = 4_242_002;
const CHANNEL = 'outbox';
/** Announcements read at once. */
const PAGE = 100;
/** Milliseconds after which the outbox is looked at without a notification. */
const LOOK = 10_000;
/** Milliseconds between two emptyings of an outbox that nobody reads. */
const SWEEP = 60_000;

export interface AnnouncerOptions {
  databaseUrl: string;
  database: DatabasePool;
  config: MessagingConfig;
  log: Log;
  /** The messages of an announcement, in their order. */
  compose(announcement: Announcement): Promise<Message[]>;
  /** Milliseconds between tries while the broker or the database is away. */
  waits?: Pick<Patience, 'first' | 'longest'>;
}

export interface Announcer {
  /** Ends at once; a message under way is sent again by whoever announces next. */
  stop(): Promise<void>;
}

/**
 * Sends what is in the outbox, one message after the other, until stopped: each is removed only when the broker has
 * accepted it, so every message arrives at least once, and those of a request in the order of its states. One process
 * announces at a time; the others wait to take over. Nothing else waits for it.
 */
export function startAnnouncer(options: AnnouncerOptions): Announcer {
  const { databaseUrl, config, log, waits = { first: 250, longest: 10_000 } } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const wanted = [config.buildDestination, config.batchDestination].some((address) => address !== undefined);
  if (wanted && config.urls.length === 0) {
    log.error('messaging has destinations and no urls: no messages are sent');
  }
  const work = wanted && config.urls.length > 0 ? announce : discard;
  const patience: Patience = { total: Number.POSITIVE_INFINITY, ...waits };
  const once = async () => {
    try {
      await watchAlone(databaseUrl, { lock: LOCK, channel: CHANNEL, signal }, (alone) =>
        work(options, patience, alone),
      );
    } catch (cause) {
      if (asFailure(cause).verdict === 'transient') throw cause;
      // What waits is kept, whatever is wrong, and somebody may mend it.
      throw new Failure('announcing_failed', 'Messages cannot be made', { cause });
    }
  };
  const done = patiently(patience, signal, once, (failure, wait) => {
    if (!signal.aborted) log.error({ wait, cause: describe(failure) }, 'cannot announce now; next try soon');
  }).catch(() => {});
  return {
    async stop() {
      stopping.abort(new Error('the announcer is stopping'));
      await done;
    },
  };
}

async function announce(
  { database, config, log, compose }: AnnouncerOptions,
  patience: Patience,
  { signal, notified }: Alone,
): Promise<void> {
  const broker = createBroker(config, log);
  const hangUp = () => broker.close();
  signal.addEventListener('abort', hangUp);
  try {
    for (;;) {
      const announcements = await database.read((db) => oldestAnnouncements(db, PAGE));
      for (const announcement of announcements) {
        await sendAll(await compose(announcement), broker, patience, signal, async (failure, wait) => {
          if (signal.aborted) return;
          const { id, batchId } = announcement;
          log.warn(
            { announcement: id, batch: batchId, code: failure.code, wait, cause: describe(failure.cause) },
            `messages wait: ${failure.message}`,
          );
          await database.read((db) => noteAttempt(db, id, failure.message));
        });
        await database.read((db) => dropAnnouncement(db, announcement.id));
      }
      if (announcements.length < PAGE) await notified(LOOK);
    }
  } finally {
    signal.removeEventListener('abort', hangUp);
    broker.close();
  }
}

/** What the broker has accepted is not sent again because of what comes after it. */
async function sendAll(
  messages: readonly Message[],
  broker: Broker,
  patience: Patience,
  signal: AbortSignal,
  onRetry: (failure: Failure, wait: number) => Promise<void>,
): Promise<void> {
  for (const message of messages) {
    let note: Promise<void> = Promise.resolve();
    await patiently(
      patience,
      signal,
      () => broker.send(message),
      (failure, wait) => {
        // A note that cannot be written is not worth the message.
        note = onRetry(failure, wait).catch(() => {});
      },
    );
    await note;
  }
}

/** Nobody is to be told anything: keeps the outbox small. */
async function discard({ database }: AnnouncerOptions, _patience: Patience, { signal }: Alone): Promise<void> {
  for (;;) {
    await database.read(dropAllAnnouncements);
    await sleep(SWEEP, undefined, { signal });
  }
}
