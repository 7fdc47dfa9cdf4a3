import type { Context } from 'hono';
import type { Database } from '../db/pool.ts';
import { findRequest } from '../db/requests.ts';
import { deliveryNamed, type JournalStep, type StateRow, statesAfter, stepsOf } from '../db/steps.ts';
import { refuse } from '../requests/checks.ts';
import { writeJson } from '../requests/json.ts';
import { artifactPath } from '../storage/directories.ts';
import { mask } from '../telemetry/secrets.ts';
import { json, notFound } from './answers.ts';
import { idIn } from './builds.ts';
import { linesAfter } from './log-lines.ts';
import { readQuery } from './query.ts';
import type { Service } from './service.ts';

/** How far a client has come; written into the id of each event, so that nothing need be kept for it. */
interface Cursor {
  state: number;
  delivery: number;
  /** Beginnings, ends and undoings of the delivery's steps. */
  turns: number;
  /** Bytes of the log. */
  log: number;
}

interface Event {
  kind: 'state' | 'step' | 'log';
  data: object;
  cursor: Cursor;
}

/** After so many milliseconds without an event a comment is sent: proxies close what is silent. */
const SILENCE = 15_000;

/** `GET /builds/{id}/steps`: what the request's delivery set out to do and did. */
export function getSteps({ database }: Service) {
  return async (c: Context): Promise<Response> => {
    refuseParameters(c);
    return database.read(async (db) => {
      const request = (await findRequest(db, idIn(c))) ?? notFound();
      if (request.deliveryId === null) return json({ delivery: null, items: [] });
      const delivery = await deliveryNamed(db, request.deliveryId);
      const items = await stepsOf(db, request.deliveryId);
      return json({
        delivery: delivery && {
          id: delivery.id,
          state: delivery.state,
          undo_error: delivery.undoError === null ? null : mask(delivery.undoError),
        },
        items: items.map(shown),
      });
    });
  };
}

/** IIB's routes ignore query parameters they do not know (rest-api.md §4); the ones here have none, and say so. */
function refuseParameters(c: Context): void {
  const names = [...new Set(readQuery(c.req.url).keys())];
  if (names.length > 0) refuse(`The following query parameters are invalid: ${names.join(', ')}`);
}

/**
 * `GET /builds/{id}/events`: states, steps and log lines as Server-Sent Events, from the beginning or from
 * `Last-Event-ID` on. The stream ends with the request; who resumes after that is told 204, which ends it for good.
 */
export function getEvents(service: Service) {
  return async (c: Context): Promise<Response> => {
    refuseParameters(c);
    const id = idIn(c);
    const resumed = readCursor(c.req.header('last-event-id') ?? '');
    const cursor = resumed ?? { state: 0, delivery: 0, turns: 0, log: 0 };
    const known = await service.database.read((db) => news(db, id, cursor));
    const first = await eventsAfter(service, id, cursor, known);
    if (resumed !== null && first.over && first.events.length === 0) return new Response(null, { status: 204 });
    return new Response(stream(service, id, cursor), {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    });
  };
}

function stream(service: Service, id: number, cursor: Cursor): ReadableStream<Uint8Array> {
  const left = new AbortController();
  const signal = AbortSignal.any([left.signal, service.closing]);
  const texts = follow(service, id, cursor, signal);
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const { value, done } = await texts.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      async cancel() {
        left.abort();
        await texts.return(undefined);
      },
    },
    // Nothing is done before somebody reads: a HEAD never does.
    { highWaterMark: 0 },
  );
}

async function* follow(
  service: Service,
  id: number,
  start: Cursor,
  signal: AbortSignal,
): AsyncGenerator<string, undefined> {
  const listener = service.watch.listen(id);
  let cursor = start;
  let spoken = Date.now();
  let known: News | null = null;
  try {
    // The last lines of a log may come a moment after the last state.
    for (let quiet = 0; quiet < 2; ) {
      known ??= await service.database.read((db) => news(db, id, cursor));
      const { events, over } = await eventsAfter(service, id, cursor, known);
      for (const event of events) {
        cursor = event.cursor;
        yield written(event);
      }
      quiet = over && events.length === 0 ? quiet + 1 : 0;
      if (events.length > 0) spoken = Date.now();
      if (Date.now() - spoken > SILENCE) {
        spoken = Date.now();
        yield ': nothing new\n\n';
      }
      if (quiet === 2) return;
      if (await listener.next(signal)) known = null;
      else known.states = [];
    }
  } catch (reason) {
    if (!signal.aborted) throw reason;
  } finally {
    listener.leave();
  }
}

/** What came after the cursor, and whether nothing more is to be expected. */
async function eventsAfter(
  { config }: Service,
  id: number,
  start: Cursor,
  { deliveryId, steps, states, ended }: News,
): Promise<{ events: Event[]; over: boolean }> {
  const events: Event[] = [];
  let cursor = start;
  const tell = (kind: Event['kind'], data: object, moved: Partial<Cursor>) => {
    cursor = { ...cursor, ...moved };
    events.push({ kind, data, cursor });
  };
  const log = artifactPath(config.storage, 'logs', id);
  const { lines, more } = log === null ? { lines: [], more: false } : await linesAfter(log, start.log);
  for (const { text, end } of lines) tell('log', { line: mask(text) }, { log: end });
  const told = start.delivery === deliveryId ? start.turns : 0;
  for (const [at, turn] of turnsOf(steps).entries()) {
    if (at >= told) tell('step', turn, { delivery: deliveryId, turns: at + 1 });
  }
  for (const { id: state, reason, ...entry } of states) tell('state', { ...entry, state_reason: reason }, { state });
  return { events, over: ended && !more };
}

/** What the database knows of a request's course; states after the cursor alone. */
interface News {
  /** 0 while it has none. */
  deliveryId: number;
  steps: JournalStep[];
  states: StateRow[];
  ended: boolean;
}

async function news(db: Database, id: number, { state }: Cursor): Promise<News> {
  const { deliveryId, state: newest } = (await findRequest(db, id)) ?? notFound();
  const delivery = deliveryId === null ? null : await deliveryNamed(db, deliveryId);
  return {
    deliveryId: deliveryId ?? 0,
    steps: delivery === null ? [] : await stepsOf(db, delivery.id),
    states: await statesAfter(db, id, state),
    ended: newest !== 'in_progress' && (delivery === null || delivery.endedAt !== null),
  };
}

/**
 * Beginnings, ends and undoings in the order of their times, which only ever grows at its end. Each holds what was known
 * at that turn and changes no more: an event that is sent again under its id must be the same event.
 */
function turnsOf(steps: readonly JournalStep[]): { seq: number; at: string; turn: string }[] {
  return steps
    .flatMap((step) => {
      const { seq, name, started, ended, undone } = step;
      const begun = { seq, name, started };
      // Progress may still be noted when the step has ended.
      const { progress: _, ...notes } = shown(step).notes;
      return [
        { ...begun, turn: 'started', at: started },
        ...(ended === null ? [] : [{ ...begun, ended, notes, turn: 'ended', at: ended }]),
        ...(undone === null ? [] : [{ ...begun, ended, undone, turn: 'undone', at: undone }]),
      ];
    })
    .sort((a, b) => (a.at === b.at ? a.seq - b.seq : a.at < b.at ? -1 : 1));
}

/** A step with the texts of its notes masked. */
function shown(step: JournalStep): JournalStep {
  const notes = Object.fromEntries(Object.entries(step.notes).map(([name, text]) => [name, text && mask(text)]));
  return { ...step, notes };
}

function written({ kind, data, cursor: { state, delivery, turns, log } }: Event): string {
  // With the kind: the same place is reached by a state or by a line, whichever was there first when it was looked at.
  return `id: ${state}.${delivery}.${turns}.${log}.${kind}\nevent: ${kind}\ndata: ${writeJson(data)}\n\n`;
}

function readCursor(text: string): Cursor | null {
  const [, ...numbers] = /^(\d{1,15})\.(\d{1,9})\.(\d{1,9})\.(\d{1,15})(?:\.\w+)?$/.exec(text) ?? [];
  const [state, delivery, turns, log] = numbers.map(Number);
  if (state === undefined || delivery === undefined || turns === undefined || log === undefined) return null;
  return { state, delivery, turns, log };
}
