import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { type ApiServer, serveApi } from '../../src/api/server.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
let server: ApiServer;
const WORKER = 'worker@EXAMPLE.COM';
const log = createLog('silent', 'api');
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.port = 0;
    config.api.bodyLimit = 1024 * 1024;
    config.api.workerUsers = [WORKER];
  });
  server = await serveApi({ config: api.config, database: api.world.database, log });
});
afterAll(async () => {
  await server.close();
  await api.close();
});

const rm = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
const UNEXPECTED =
  'The server encountered an internal error and was unable to complete your request. Either the server is ' +
  'overloaded or there is an error in the application.';

test('answers have the byte form of the contract', async () => {
  const made = await fetch(`${server.url}/api/v1/builds/rm`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-remote-user': 'alice' },
    body: JSON.stringify({ ...rm, operators: ['é✓🎉', '\u007f\n'] }),
  });
  expect(made.headers.get('content-type')).toBe('application/json');
  const body = await made.text();
  expect(Number(made.headers.get('content-length'))).toBe(Buffer.byteLength(body));
  expect(body).toContain('"removed_operators":["\\u00e9\\u2713\\ud83c\\udf89","\u007f\\n"]');
  expect(body.endsWith('}\n')).toBe(true);
  const keys = Object.keys(JSON.parse(body));
  expect(keys).toEqual([...keys].sort());
});

test('a body over the limit is 413 in the error format, announced or not', async () => {
  const headers = { 'content-type': 'application/json', 'x-remote-user': 'alice' };
  const url = `${server.url}/api/v1/builds/rm`;
  const announced = await fetch(url, { method: 'POST', headers, body: 'x'.repeat(3_000_000) });
  expect([announced.status, Object.keys((await announced.json()) as object)]).toEqual([413, ['error']]);
  const stream = new Blob(['x'.repeat(3_000_000)]).stream();
  const chunked = await fetch(url, { method: 'POST', headers, body: stream, duplex: 'half' } as RequestInit);
  expect(chunked.status).toBe(413);
});

test('a body that does not say it is JSON is 415, before anybody looks at it', async () => {
  const error = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.";
  const headers = { 'x-remote-user': 'alice' };
  const send = async (method: string, path: string, type: string | null, body: string) => {
    const all = type === null ? headers : { ...headers, 'content-type': type };
    // Bytes, because fetch would name the type of a text.
    const answer = await fetch(`${server.url}${path}`, { method, headers: all, body: new TextEncoder().encode(body) });
    return [answer.status, ((await answer.json()) as { error?: string }).error];
  };
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'text/json', '', null]) {
    expect([type, await send('POST', '/api/v1/builds/rm', type, '{}')]).toEqual([type, [415, error]]);
  }
  expect(await send('POST', '/api/v1/builds/rm', null, '')).toEqual([415, error]);
  expect(await send('POST', '/api/v1/builds/add-rm-batch', 'text/plain', 'not JSON')).toEqual([415, error]);
  const plain = { 'content-type': 'text/plain' };
  const large = await api.ask('POST', '/api/v1/builds/rm', { user: 'a', raw: 'x'.repeat(3_000_000), headers: plain });
  expect([large.status, large.json.error]).toEqual([415, error]);
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.example+json']) {
    expect([type, (await send('POST', '/api/v1/builds/rm', type, JSON.stringify(rm)))[0]]).toEqual([type, 201]);
  }
  const patch = await api.ask('PATCH', '/api/v1/builds/1', {
    user: WORKER,
    raw: '{}',
    headers: plain,
  });
  expect([patch.status, patch.json.error, patch.headers.get('x-error-code')]).toEqual([
    415,
    error,
    'media_type_unsupported',
  ]);
  const anonymous = await api.ask('POST', '/api/v1/builds/rm', {
    raw: '{}',
    headers: { 'content-type': 'text/plain' },
  });
  expect(anonymous.status).toBe(401);
});

test('the limit holds for PATCH, too, and a body just below it is taken', async () => {
  const raw = JSON.stringify({ state: 'failed', state_reason: 'x'.repeat(2_000_000) });
  const { status, json, headers } = await api.ask('PATCH', '/api/v1/builds/1', { user: WORKER, raw });
  expect([status, json, headers.get('x-error-code')]).toEqual([
    413,
    { error: 'The data value transmitted exceeds the capacity limit.' },
    'too_large',
  ]);
  const inside = { ...rm, operators: Array.from({ length: 125 }, (_, n) => `${n}-${'x'.repeat(8000)}`) };
  expect((await api.ask('POST', '/api/v1/builds/rm', { user: 'alice', json: inside })).status).toBe(201);
});

test('addresses in answers follow the Host header, or the configured public address', async () => {
  const { json } = await api.ask('GET', '/api/v1/builds', { headers: { host: 'other.example.com:80' } });
  expect(json.meta.first).toMatch(/^http:\/\/other\.example\.com:80\/api\/v1\/builds\?page=1/);
  const config = { ...api.config, api: { ...api.config.api, publicUrl: 'https://iw.example.com/iib/' } };
  const app = createApp({ config, database: api.world.database, log });
  const page = (await (await app.request('/api/v1/builds')).json()) as { meta: { first: string } };
  expect(page.meta.first).toMatch(/^https:\/\/iw\.example\.com\/iib\/api\/v1\/builds\?page=1/);
});

test('a wrong method says which are right', async () => {
  const { status, headers, json } = await api.ask('DELETE', '/api/v1/builds/1');
  expect([status, json.error]).toEqual([405, 'The method is not allowed for the requested URL.']);
  expect(headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'OPTIONS', 'PATCH']);
});

test('requests that are hardly HTTP do not harm', async () => {
  for (const head of [
    'GET /api/v1/healthcheck HTTP/1.0\r\n',
    'GET /api/v1/builds/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n',
    'GET /api/v1/healthcheck HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n',
    'POST /api/v1/builds/rm HTTP/1.1\r\nHost: x\r\nX-Remote-User: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n',
  ]) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.end(`${head}\r\n`);
    await text(socket).catch(() => '');
  }
  expect((await fetch(`${server.url}/api/v1/healthcheck`)).status).toBe(200);
});

test('without a database every route answers 500 in the error format, soon', async () => {
  const database = openDatabase(`postgresql://x@127.0.0.1:${await freePort()}/x`);
  const app = createApp({ config: { ...api.config, api: { ...api.config.api, loginDisabled: true } }, database, log });
  try {
    const began = Date.now();
    const health = await app.request('/api/v1/healthcheck');
    expect([health.status, await health.json()]).toEqual([500, { error: 'Database health check failed.' }]);
    const headers = { 'content-type': 'application/json' };
    for (const [path, init] of [
      ['/api/v1/builds', {}],
      ['/api/v1/builds/1', {}],
      ['/api/v1/builds/1/deprecation-schema', {}],
      ['/api/v1/builds/rm', { method: 'POST', headers, body: JSON.stringify(rm) }],
      ['/api/v1/builds/1', { method: 'PATCH', headers, body: '{"arches":[]}' }],
    ] as const) {
      const answer = await app.request(path, init);
      expect([path, answer.status, await answer.json()]).toEqual([path, 500, { error: UNEXPECTED }]);
    }
    expect(Date.now() - began).toBeLessThan(5000);
  } finally {
    await database.close();
  }
});

test('the documentation is served as a page titled as clients know it', async () => {
  expect((await api.ask('GET', '/')).text).toContain('<title>IIB API Documentation</title>');
});

test('closing waits for answers on their way, and not for what may still be asked', async () => {
  const own = await serveApi({ config: api.config, database: api.world.database, log });
  const { pool } = api.world.database;
  const blocker = await pool.connect();
  await blocker.query('begin; lock table requests');
  const answer = fetch(`${own.url}/api/v1/builds`);
  const waiting = `select 1 from pg_locks where relation = 'requests'::regclass and not granted`;
  await expect.poll(async () => (await pool.query(waiting)).rows.length).toBeGreaterThan(0);
  const closed = own.close();
  const began = Date.now();
  await blocker.query('rollback');
  blocker.release();
  expect((await answer).status).toBe(200);
  await (await answer).text();
  await closed;
  expect(Date.now() - began).toBeLessThan(3000);
  await expect(fetch(`${own.url}/api/v1/builds`)).rejects.toThrow();
});
