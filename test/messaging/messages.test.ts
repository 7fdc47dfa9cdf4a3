import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { MessagingConfig } from '../../src/config/schema.ts';
import type { Announcer } from '../../src/messaging/announcer.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { startMessages } from '../../src/worker/messages.ts';
import { type TestApi, testApi } from '../support/api.ts';
import { type Authority, authorityIn } from './certificates.ts';
import { type Consumer, consume, type Received } from './consumer.ts';
import { type Rabbit, rabbitIn } from './rabbitmq.ts';

/** One queue for both kinds, so that their order among each other can be seen. */
const ADDRESS = '/queue/states';
const WORKER = 'worker@EXAMPLE.COM';

let api: TestApi;
let rabbit: Rabbit;
let authority: Authority;
let messaging: MessagingConfig;
let consumer: Consumer;
let announcer: Announcer | undefined;

beforeAll(async () => {
  api = await testApi((config) => {
    config.api.workerUsers = [WORKER];
  });
  authority = await authorityIn(join(api.dir, 'authority'));
  rabbit = await rabbitIn(join(api.dir, 'rabbit'), { ca: authority.ca, ...(await authority.issue('server')) });
  messaging = {
    ...api.config.messaging,
    // Nobody listens at the first one.
    urls: [`amqp://127.0.0.1:${await freePort()}`, rabbit.url],
    buildDestination: ADDRESS,
    batchDestination: ADDRESS,
    user: 'guest',
    passwordFile: join(api.dir, 'password'),
  };
  writeFileSync(join(api.dir, 'password'), 'guest\n');
});
afterEach(async () => {
  // Else what has just been received might be sent to the next test once more.
  if (announcer !== undefined) await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
  await announcer?.stop();
  announcer = undefined;
});
afterAll(async () => {
  await consumer?.close();
  await rabbit?.close();
  await api?.close();
});

test('a request goes its way while the broker is down, and its whole life is told in order when it is there', async () => {
  announcer = announce(messaging);
  const { json: request } = await post('rm', rm('webapp'));
  await patch(request.id, { state: 'in_progress', state_reason: 'Building' });
  await patch(request.id, { state: 'in_progress', state_reason: 'Building' });
  await patch(request.id, { distribution_scope: 'stage' });
  const end = {
    state: 'complete',
    state_reason: 'Done',
    index_image: 'reg.example.com/out:1',
    arches: ['s390x', 'amd64'],
  };
  await patch(request.id, end);
  await patch(request.id, { state: 'complete', state_reason: 'Done, twice' });
  const { items } = (await api.ask('GET', `/api/v1/builds?batch=${request.batch}`)).json;

  await rabbit.start();
  consumer = await consume(rabbit.url, ADDRESS);
  await consumer.until((received) => received.length >= 7);

  expect(consumer.received.map(summary)).toEqual([
    'build 1: in_progress, The request was initiated',
    'batch 1: in_progress',
    'build 1: in_progress, Building',
    'build 1: complete, Done',
    'batch 1: complete',
    'build 1: complete, Done, twice',
    'batch 1: complete',
  ]);
  const [first, batch, building, done, , last] = consumer.received;
  expect(first?.body).toMatchObject({ index_image: null, arches: [], distribution_scope: null });
  expect(building?.body).toMatchObject({ index_image: null, distribution_scope: null });
  expect(done?.body).toMatchObject({ index_image: 'reg.example.com/out:1', arches: ['amd64', 's390x'] });
  expect(last?.body).toEqual(items[0]);
  expect(batch?.body).toEqual({
    batch: 1,
    annotations: null,
    requests: [{ id: 1, organization: null, request_type: 'rm' }],
    state: 'in_progress',
    user: 'bot@EXAMPLE.COM',
  });
  expect(first?.properties).toEqual({ batch: 1, id: 1, state: 'in_progress', user: 'bot@EXAMPLE.COM' });
  expect(batch?.properties).toEqual({ batch: 1, state: 'in_progress', user: 'bot@EXAMPLE.COM' });
  expect(first?.raw).toMatchObject({ durable: true, content_type: 'application/json' });
  expect(first?.raw.message_id).toBeUndefined();
  expect(new Set(consumer.received.map(({ raw }) => raw.correlation_id)).size).toBe(7);
  expect(first?.raw.correlation_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('a batch is told after its requests, with its annotations as they came, and its end once', async () => {
  announcer = announce(messaging);
  const seen = consumer.received.length;
  const annotations = '{"ticket":"REL-7","number":12345678901234567890}';
  const members = JSON.stringify([rm('a'), rm('b')]);
  const { json: requests } = await api.ask('POST', '/api/v1/builds/add-rm-batch', {
    user: 'bot@EXAMPLE.COM',
    raw: `{"annotations":${annotations},"build_requests":${members}}`,
  });
  const [first, second] = requests.map(({ id }: { id: number }) => id);
  // Both end at the same time: neither transaction sees the end of the other.
  await Promise.all([
    patch(first, { state: 'failed', state_reason: 'No' }),
    patch(second, { state: 'complete', state_reason: 'Yes' }),
  ]);
  await consumer.until((received) => received.length >= seen + 6);

  const told = consumer.received.slice(seen);
  expect(told.slice(0, 3).map(summary)).toEqual([
    `build ${first}: in_progress, The request was initiated`,
    `build ${second}: in_progress, The request was initiated`,
    `batch 2: in_progress`,
  ]);
  expect(told.slice(3, 5).map(summary).sort()).toEqual([
    `build ${first}: failed, No`,
    `build ${second}: complete, Yes`,
  ]);
  expect(told.slice(5).map(summary)).toEqual(['batch 2: failed']);
  expect(told[2]?.raw.body).toContain('"number":12345678901234567890');
});

test('a process that is killed before it knows of an answer is followed by one that sends again', async () => {
  const seen = consumer.received.length;
  const { json: request } = await post('rm', rm('webapp'));
  const { pool } = api.world.database;
  const gate = await pool.connect();
  onTestFinished(() => gate.release(true));
  await gate.query('begin');
  // The message can be sent, but not be taken off the list.
  await gate.query('select from outbox for update');
  const file = join(api.dir, 'config.yaml');
  writeFileSync(file, JSON.stringify({ ...api.config, messaging }));
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'announce.ts'), file], { stdio: 'inherit' });
  await consumer.until((received) => received.length > seen);
  child.kill('SIGKILL');
  await once(child, 'exit');
  // What the dead process has asked for must not be done after all.
  await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query ilike 'delete%'`);
  await gate.query('rollback');

  announcer = announce(messaging);
  await consumer.until((received) => received.length >= seen + 3);
  const build = `build ${request.id}: in_progress, The request was initiated`;
  const told = consumer.received.slice(seen);
  expect(told.map(summary)).toEqual([build, build, `batch ${request.batch}: in_progress`]);
  expect(told[1]?.body).toEqual(told[0]?.body);
});

test('a broker that restarts gets what happened meanwhile', async () => {
  const lines: string[] = [];
  announcer = announce(messaging, lines);
  const seen = consumer.received.length;
  const { json: request } = await post('rm', rm('webapp'));
  await consumer.until((received) => received.length >= seen + 2);
  // What the announcer does not know to be taken it would rightly send once more.
  await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
  await consumer.close();
  await rabbit.stop();
  await patch(request.id, { state: 'in_progress', state_reason: 'Building' });
  await patch(request.id, { state: 'failed', state_reason: 'No' });
  await rabbit.start();
  consumer = await consume(rabbit.url, ADDRESS);
  await consumer.until((received) => received.length >= 3);
  expect(consumer.received.map(summary)).toEqual([
    `build ${request.id}: in_progress, Building`,
    `build ${request.id}: failed, No`,
    `batch ${request.batch}: failed`,
  ]);
  expect(lines.join('')).toContain('messages wait: No message broker can be reached');
});

test('a client certificate that is refused is named in the log; messages go once the right one is there', async () => {
  const stranger = await authorityIn(join(api.dir, 'stranger'));
  const [ours, theirs] = [await authority.issue('indexwright'), await stranger.issue('indexwright')];
  const [certFile, keyFile] = [join(api.dir, 'client.crt'), join(api.dir, 'client.key')];
  const use = (pair: typeof ours) => {
    copyFileSync(pair.cert, certFile);
    copyFileSync(pair.key, keyFile);
  };
  use(theirs);
  const lines: string[] = [];
  const refused = Promise.withResolvers<void>();
  const { user: _, passwordFile: __, ...anonymous } = messaging;
  announcer = announce(
    { ...anonymous, urls: [rabbit.secureUrl], caFile: authority.ca, certFile, keyFile },
    lines,
    (line) => line.includes('broker_denied') && refused.resolve(),
  );
  const seen = consumer.received.length;
  const { json: request } = await post('rm', rm('webapp'));
  await refused.promise;
  expect(JSON.parse(lines.find((line) => line.includes('broker_denied')) ?? '{}')).toMatchObject({
    code: 'broker_denied',
    msg: expect.stringMatching(
      new RegExp(
        `^messages wait: The broker ${rabbit.secureUrl} refused the TLS handshake, most likely the client certificate: .*unknown ca`,
      ),
    ),
  });
  const noted = () => api.world.database.pool.query('select from outbox where last_error is not null');
  await expect.poll(async () => (await noted()).rowCount, { timeout: 30_000 }).toBe(1);

  use(ours);
  await consumer.until((received) => received.length >= seen + 2);
  expect(consumer.received.slice(seen).map(summary)).toEqual([
    `build ${request.id}: in_progress, The request was initiated`,
    `batch ${request.batch}: in_progress`,
  ]);
});

test('where no messages are wanted, none are kept', async () => {
  await post('rm', rm('webapp'));
  expect(await waiting()).toBe(2);
  announcer = announce(api.config.messaging);
  await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
});

function announce(config: MessagingConfig, lines: string[] = [], tell: (line: string) => void = () => {}): Announcer {
  const write = (line: string) => {
    lines.push(line);
    tell(line);
  };
  const { database } = api.world;
  const waits = { first: 100, longest: 400 };
  return startMessages({ ...api.config, messaging: config }, database, pino({ level: 'warn' }, { write }), waits);
}

const rm = (operator: string) => ({
  operators: [operator],
  from_index: 'reg.example.com/index:v4.16',
  binary_image: 'scratch',
});

async function post(type: string, json: object) {
  const answer = await api.ask('POST', `/api/v1/builds/${type}`, { user: 'bot@EXAMPLE.COM', json });
  expect(answer.status).toBe(201);
  return answer;
}

async function patch(id: number, json: object): Promise<void> {
  expect((await api.ask('PATCH', `/api/v1/builds/${id}`, { user: WORKER, json })).status).toBe(200);
}

async function waiting(): Promise<number> {
  const { rows } = await api.world.database.pool.query('select count(*)::int as waiting from outbox');
  return rows[0].waiting;
}

function summary({ body }: Received): string {
  const { id, batch, state, state_reason } = body;
  return id === undefined ? `batch ${batch}: ${state}` : `build ${id}: ${state}, ${state_reason}`;
}
