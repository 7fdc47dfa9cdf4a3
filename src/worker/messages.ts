import type { Config } from '../config/schema.ts';
import { type Announcement, moreEndsToCome, readBatch, type StoredBatch } from '../db/outbox.ts';
import type { DatabasePool } from '../db/pool.ts';
import type { State } from '../db/schema.ts';
import { type Announcer, type AnnouncerOptions, startAnnouncer } from '../messaging/announcer.ts';
import type { Message } from '../messaging/message.ts';
import { requestTypeNamed } from '../requests/all.ts';
import { requestObject, surroundings } from '../requests/answer.ts';
import { parseNumbersAsWritten, writeJson } from '../requests/json.ts';
import type { Log } from '../telemetry/log.ts';

/** Announces states of requests and batches by messages, as configured (rest-api.md §9). */
export function startMessages(
  config: Config,
  database: DatabasePool,
  log: Log,
  waits?: AnnouncerOptions['waits'],
): Announcer {
  const { databaseUrl, messaging } = config;
  const compose = (announcement: Announcement) => messagesOf(announcement, config, database);
  return startAnnouncer({ databaseUrl, database, config: messaging, log, compose, ...(waits ? { waits } : {}) });
}

/** The messages of one announcement: of a request's new state, and of its batch if that is over; or of a new batch. */
async function messagesOf(announcement: Announcement, config: Config, database: DatabasePool): Promise<Message[]> {
  const { buildDestination, batchDestination } = config.messaging;
  const messages: Message[] = [];
  if (announcement.kind === 'build' && buildDestination !== undefined) {
    messages.push(buildMessage(announcement, config));
  }
  if (batchDestination === undefined) return messages;
  if (announcement.kind === 'build' && announcement.request.state === 'in_progress') return messages;
  await database.read(async (db) => {
    const batch = await readBatch(db, announcement.batchId);
    if (announcement.kind === 'batch') messages.push(batchMessage(batch, 'in_progress'));
    else if (batch.state !== 'in_progress' && !(await moreEndsToCome(db, batch.id, announcement))) {
      messages.push(batchMessage(batch, batch.state));
    }
  });
  return messages;
}

function buildMessage({ request, baseUrl }: Announcement & { kind: 'build' }, { api, storage }: Config): Message {
  const base = (api.publicUrl ?? baseUrl ?? '').replace(/\/+$/, '');
  const { id, batchId: batch, state, user } = request;
  return {
    to: 'build',
    body: writeJson(requestObject(request, surroundings(storage, base))),
    properties: { batch, id, state, user },
  };
}

function batchMessage({ id: batch, annotations, user, requests }: StoredBatch, state: State): Message {
  const body = {
    batch,
    annotations: annotations === null ? null : parseNumbersAsWritten(annotations),
    requests: requests.map(({ id, type, payload }) => ({
      id,
      organization: requestTypeNamed(type).organization(payload),
      request_type: type,
    })),
    state,
    user,
  };
  return { to: 'batch', body: writeJson(body), properties: { batch, state, user } };
}
