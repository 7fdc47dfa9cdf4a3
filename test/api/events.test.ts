import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiServer, serveApi } from '../../src/api/server.ts';
import { addState } from '../../src/db/states.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { registerSecret } from '../../src/telemetry/secrets.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
let server: ApiServer;
beforeAll(async () => {
  api = await testApi((config, dir) => {
    config.api.port = 0;
    config.storage.logsDir = join(dir, 'logs');
    mkdirSync(join(dir, 'logs'));
  });
  server = await serveApi({ config: api.config, database: api.world.database, log: createLog('silent', 'api') });
});
afterAll(async () => {
  await server.close();
  await api.close();
});

interface Seen {
  id: string;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into data of every shape
  data: any;
}

/** Reads a stream of events. */
async function listen(id: number, from?: string) {
  const leaving = new AbortController();
  const answer = await fetch(`${server.url}/api/v1/builds/${id}/events`, {
    headers: from === undefined ? {} : { 'last-event-id': from },
    signal: leaving.signal,
  });
  const texts = answer.body?.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  let rest = '';
  const next = async (): Promise<Seen | null> => {
    for (;;) {
      const end = rest.indexOf('\n\n');
      const block = end < 0 ? null : rest.slice(0, end);
      if (block !== null) {
        rest = rest.slice(end + 2);
        const [, at = '', event = '', data = ''] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block) ?? [];
        if (event !== '') return { id: at, event, data: JSON.parse(data) };
        continue;
      }
      const { value, done } = (await texts?.next()) ?? { value: '', done: true };
      if (done) return null;
      rest += value;
    }
  };
  const several = async (count: number) => {
    const events: Seen[] = [];
    while (events.length < count) {
      const event = await next();
      if (event === null) break;
      events.push(event);
    }
    return events;
  };
  return { answer, next, several, leave: () => leaving.abort() };
}

const create = async (): Promise<number> => {
  const json = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
  return (await api.ask('POST', '/api/v1/builds/rm', { user: 'alice', json })).json.id;
};
const query = (text: string, values: unknown[] = []) => api.world.database.pool.query(text, values);
const state = (id: number, name: 'in_progress' | 'complete', reason: string) =>
  api.world.database.transaction((tx) => addState(tx, id, name, reason));
const logLine = (id: number, line: string) => appendFileSync(join(api.dir, 'logs', `${id}.log`), line);

async function deliveryOf(id: number): Promise<number> {
  const { rows } = await query('insert into deliveries default values returning id');
  await query('update requests set delivery_id = $1 where id = $2', [rows[0].id, id]);
  return rows[0].id;
}
const begin = (delivery: number, seq: number, name: string, notes: object = {}) =>
  query('insert into delivery_steps (delivery_id, seq, name, intent, notes) values ($1, $2, $3, $4, $5)', [
    delivery,
    seq,
    name,
    { token: 'an-intent-stays-inside' },
    notes,
  ]);
const mark = (delivery: number, seq: number, column: 'ended_at' | 'undone_at') =>
  query(`update delivery_steps set ${column} = clock_timestamp() where delivery_id = $1 and seq = $2`, [delivery, seq]);
const close = (delivery: number) => query('update deliveries set ended_at = now() where id = $1', [delivery]);

describe('events', () => {
  test('states, steps and log lines come as they happen, and the stream ends with the request', async () => {
    const id = await create();
    const stream = await listen(id);
    expect(stream.answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await stream.next()).toMatchObject({ event: 'state', data: { state_reason: 'The request was initiated' } });
    const delivery = await deliveryOf(id);
    await begin(delivery, 1, 'propose', { merge_request: 'https://gitlab.example.com/1', internal: 'no' });
    expect(await stream.next()).toMatchObject({
      event: 'step',
      data: { seq: 1, name: 'propose', turn: 'started' },
    });
    logLine(id, 'one\ntwo\nthr');
    expect((await stream.several(2)).map(({ data }) => data.line)).toEqual(['one', 'two']);
    logLine(id, 'ee\n');
    expect((await stream.next())?.data.line).toBe('three');
    await mark(delivery, 1, 'ended_at');
    expect(await stream.next()).toMatchObject({
      event: 'step',
      data: { name: 'propose', turn: 'ended', notes: { merge_request: 'https://gitlab.example.com/1' } },
    });
    await state(id, 'complete', 'done');
    await close(delivery);
    const last = await stream.next();
    expect(last).toMatchObject({ event: 'state', data: { state: 'complete', state_reason: 'done' } });
    expect(await stream.next()).toBeNull();
    expect((await listen(id, last?.id)).answer.status).toBe(204);
  });

  test('who resumes misses nothing and sees nothing twice', async () => {
    const id = await create();
    const delivery = await deliveryOf(id);
    await begin(delivery, 1, 'propose');
    logLine(id, 'one\ntwo\n');
    await mark(delivery, 1, 'ended_at');
    await begin(delivery, 2, 'build', { pipeline_run: 'run-1' });
    await mark(delivery, 2, 'undone_at');
    await state(id, 'complete', 'done');
    await close(delivery);
    const whole = await (await listen(id)).several(100);
    expect(whole.map(({ event, data }) => data.line ?? data.turn ?? `${event} ${data.state}`)).toEqual([
      'one',
      'two',
      'started',
      'ended',
      'started',
      'undone',
      'state in_progress',
      'state complete',
    ]);
    for (const at of whole.keys()) {
      const rest = await (await listen(id, whole[at]?.id)).several(100);
      expect(rest).toEqual(whole.slice(at + 1));
    }
  });

  test('an event that is sent again under its id is the same, whatever has come since', async () => {
    const id = await create();
    const live = await listen(id);
    const seen = [await live.next()];
    logLine(id, 'first line\n');
    seen.push(await live.next());
    const delivery = await deliveryOf(id);
    await begin(delivery, 1, 'propose', { merge_request: 'https://gitlab.example.com/1' });
    seen.push(await live.next());
    logLine(id, 'second line\n');
    seen.push(await live.next());
    await mark(delivery, 1, 'ended_at');
    seen.push(await live.next());
    await query(`update delivery_steps set notes = notes || '{"progress":"2 of 3"}' where delivery_id = $1`, [
      delivery,
    ]);
    await begin(delivery, 2, 'build');
    seen.push(await live.next());
    await mark(delivery, 1, 'undone_at');
    seen.push(await live.next());
    await state(id, 'complete', 'done');
    await close(delivery);
    seen.push(await live.next());
    expect(await live.next()).toBeNull();
    const byId = new Map(seen.map((event) => [event?.id, event]));
    expect(byId.size).toBe(8);
    // From the beginning and from every event: what comes under an id that was seen is what was seen.
    for (const from of [undefined, ...byId.keys()]) {
      for (const event of await (await listen(id, from)).several(100)) {
        expect(byId.get(event.id) ?? event).toEqual(event);
      }
    }
    const contents = seen.map((event) => JSON.stringify(event?.data)).sort();
    const again = await (await listen(id)).several(100);
    expect(again.map(({ data }) => JSON.stringify(data)).sort()).toEqual(contents);
  });

  test.each(['events', 'steps'])('%s have no query parameters, and say so', async (route) => {
    const { status, json } = await api.ask('GET', `/api/v1/builds/${await create()}/${route}?verbose=1&verbose=2&x`);
    expect([status, json.error]).toEqual([400, 'The following query parameters are invalid: verbose, x']);
  });

  test('a request that goes on in another delivery shows its steps', async () => {
    const id = await create();
    const first = await deliveryOf(id);
    await begin(first, 1, 'propose');
    const stream = await listen(id);
    const [step] = await stream.several(2);
    await begin(await deliveryOf(id), 1, 'propose');
    expect(await stream.next()).toMatchObject({ event: 'step', data: { seq: 1, turn: 'started' } });
    const resumed = await listen(id, step?.id);
    expect(await resumed.next()).toMatchObject({ event: 'step' });
    stream.leave();
    resumed.leave();
  });

  test('secrets that reach a log are masked once more', async () => {
    const id = await create();
    registerSecret('a-very-secret-word');
    logLine(id, 'the word is a-very-secret-word\n');
    const stream = await listen(id);
    expect((await stream.next())?.data.line).toBe('the word is *****');
    stream.leave();
  });

  test('many listeners of many requests cost one query a look, and none when they have gone', async () => {
    const ids = await Promise.all([create(), create(), create()]);
    const streams = await Promise.all([...ids, ...ids, ...ids].map((id) => listen(id)));
    await Promise.all(streams.map((stream) => stream.next()));
    const { pool } = api.world.database;
    const asked: string[] = [];
    const { query: original } = pool;
    // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads
    pool.query = ((...args: any[]) => {
      asked.push(args[0].text ?? args[0]);
      return Reflect.apply(original, pool, args);
    }) as typeof original;
    try {
      await expect
        .poll(() => asked.filter((text) => text.includes('concat_ws')).length, { timeout: 10_000 })
        .toBeGreaterThan(3);
      const looks = asked.filter((text) => text.includes('concat_ws')).length;
      // Each stream reads once more after its first look; from then on there are looks alone.
      expect(asked.length - looks).toBeLessThanOrEqual(streams.length * 4);
      for (const stream of streams) stream.leave();
      let before = 0;
      const since = () => {
        const more = asked.length - before;
        before = asked.length;
        return more;
      };
      await expect.poll(since, { interval: 1200, timeout: 10_000 }).toBe(0);
    } finally {
      pool.query = original;
    }
  });

  test('a service that ends, ends its streams', async () => {
    const own = await serveApi({ config: api.config, database: api.world.database, log: createLog('silent', 'api') });
    const answer = await fetch(`${own.url}/api/v1/builds/${await create()}/events`);
    const text = answer.text();
    await own.close();
    expect(await text).toContain('The request was initiated');
  });

  test('an unknown request is 404; what is no event id begins at the beginning', async () => {
    expect((await api.ask('GET', '/api/v1/builds/4711/events')).status).toBe(404);
    const stream = await listen(await create(), 'nonsense');
    expect(await stream.next()).toMatchObject({ event: 'state' });
    stream.leave();
  });
});

describe('steps', () => {
  test('are shown without what belongs inside', async () => {
    const id = await create();
    expect((await api.ask('GET', `/api/v1/builds/${id}/steps`)).json).toEqual({ delivery: null, items: [] });
    const delivery = await deliveryOf(id);
    await begin(delivery, 1, 'propose', { merge_request: 'https://gitlab.example.com/1', token: 'glpat-secret' });
    await begin(delivery, 2, 'build', { pipeline_run: 'run-1' });
    await mark(delivery, 2, 'ended_at');
    const { text, json } = await api.ask('GET', `/api/v1/builds/${id}/steps`);
    expect(json.delivery).toEqual({ id: delivery, state: 'open', undo_error: null });
    expect(json.items).toMatchObject([
      { seq: 1, name: 'propose', ended: null, notes: { merge_request: 'https://gitlab.example.com/1' } },
      { seq: 2, name: 'build', ended: expect.stringMatching(/Z$/), undone: null, notes: { pipeline_run: 'run-1' } },
    ]);
    expect(text).not.toMatch(/token|intent|secret/);
  });

  test('of an unknown request are 404', async () => {
    expect((await api.ask('GET', '/api/v1/builds/4711/steps')).status).toBe(404);
  });
});
