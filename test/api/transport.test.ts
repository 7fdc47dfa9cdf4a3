import { once } from 'node:events';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ApiServer, serveApi } from '../../src/api/server.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
let server: ApiServer;
let logged: string[] = [];
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.port = 0;
  });
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk));
      done();
    },
  });
  server = await serveApi({ config: api.config, database: api.world.database, log: pino({ level: 'trace' }, sink) });
});
afterAll(async () => {
  await server.close();
  await api.close();
});
afterEach(() => {
  expect(logged.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  logged = [];
});

const rm = JSON.stringify({ operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' });
const HEAD = 'Host: iw.example.com\r\nX-Remote-User: alice\r\nContent-Type: application/json\r\nConnection: close\r\n';

/** Sends bytes as they are, and gives status and body of the answer. */
async function send(bytes: string): Promise<{ status: number; headers: string; body: string }> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(bytes, 'latin1');
  const answer = await text(socket);
  const [headers = '', body = ''] = answer.split('\r\n\r\n');
  return { status: Number(headers.split(' ')[1]), headers: headers.toLowerCase(), body };
}

const post = (extra: string, body = rm, head = HEAD) =>
  `POST /api/v1/builds/rm HTTP/1.1\r\n${head}${extra}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;

const CASES: [name: string, bytes: string, status: number, error: string][] = [
  ['no Host', 'GET /api/v1/builds HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'The "Host" header must be given once.'],
  ['two Hosts', post('Host: other.example.com\r\n'), 400, 'The "Host" header must be given once.'],
  ['the same Host twice', post('host: iw.example.com\r\n'), 400, 'The "Host" header must be given once.'],
  ['a Host that is none', 'GET /api/v1/builds HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400, 'The URL or the "Host" header of the request is not valid.'],
  ['two users', post('X-Remote-User: root\r\n'), 400, 'The "X-Remote-User" header must be given once.'],
  ['two bearer tokens', post('Authorization: Bearer a\r\nAuthorization: Bearer b\r\n'), 400, 'The "Authorization" header must be given once.'],
  ['two content types', post('Content-Type: text/plain\r\n'), 400, 'The "Content-Type" header must be given once.'],
  ['two idempotency keys', post('Idempotency-Key: a\r\nIdempotency-Key: b\r\n'), 400, 'The "Idempotency-Key" header must be given once.'],
  ['a gzip body', post('Content-Encoding: gzip\r\n', gzipSync(rm).toString('latin1')), 415, 'The Content-Encoding "gzip" is not supported. Send the body without it.'],
  ['a body encoded twice', post('Content-Encoding: gzip, br\r\n'), 415, 'The Content-Encoding "gzip, br" is not supported. Send the body without it.'],
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'The request is not valid HTTP/1.1.'],
  ['a header without a name', `GET / HTTP/1.1\r\n: x\r\n${HEAD}\r\n`, 400, 'The request is not valid HTTP/1.1.'],
  ['NUL in a header', post('X-Other: a\0b\r\n'), 400, 'The request is not valid HTTP/1.1.'],
  ['NUL in the user header', post('', rm, HEAD.replace('alice', 'al\0ice')), 400, 'The request is not valid HTTP/1.1.'],
  ['two lengths', post('Content-Length: 3\r\n'), 400, 'The request is not valid HTTP/1.1.'],
  ['length and chunks', post('Transfer-Encoding: chunked\r\n'), 400, 'The request is not valid HTTP/1.1.'],
  ['a length that is none', `POST /api/v1/builds/rm HTTP/1.1\r\n${HEAD}Content-Length: x\r\n\r\n`, 400, 'The request is not valid HTTP/1.1.'],
  ['a chunk that is none', `POST /api/v1/builds/rm HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'The request is not valid HTTP/1.1.'],
  ['20 KB of headers', post(`X-Other: ${'x'.repeat(20_000)}\r\n`), 431, 'The headers of the request are too large; at most 16384 bytes are allowed.'],
  ['an expectation', post('Expect: a miracle\r\n'), 417, 'The "Expect" header must be "100-continue" or left out.'],
  ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n', 405, 'The method is not allowed for the requested URL.'],
  ['a URL that is none', `GET http://[::/ HTTP/1.1\r\n${HEAD}\r\n`, 400, 'The URL or the "Host" header of the request is not valid.'],
]; // biome-ignore format: a table

test.each(CASES)('%s is answered in the error format', async (_, bytes, status, error) => {
  const answer = await send(bytes);
  expect([answer.status, answer.body]).toEqual([status, `${JSON.stringify({ error })}\n`]);
  expect(answer.headers).toContain('content-type: application/json');
  expect(answer.headers).toMatch(/x-error-code: [a-z_]+/);
});

test('what is given once, or not at all where it need not be, passes', async () => {
  expect((await send(post(''))).status).toBe(201);
  expect((await send(post('Content-Encoding: identity\r\n'))).status).toBe(201);
  expect((await send(post('Expect: 100-continue\r\n'))).headers).toContain('100 continue');
  expect((await send('GET /api/v1/healthcheck HTTP/1.0\r\n\r\n')).status).toBe(200);
  expect((await send(`GET /api/v1/healthcheck HTTP/1.1\r\n${HEAD}Upgrade: websocket\r\n\r\n`)).status).toBe(200);
});

test('a client that leaves in the middle of its body is no error', async () => {
  const port = Number(new URL(server.url).port);
  for (const framing of ['Content-Length: 100000', 'Transfer-Encoding: chunked']) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const begun = framing.startsWith('T') ? 'ffff\r\n{"a":' : '{"a":';
    socket.write(`POST /api/v1/builds/rm HTTP/1.1\r\n${HEAD}${framing}\r\n\r\n${begun}`);
    // An answer to somebody else means that the server has seen these bytes.
    await fetch(`${server.url}/api/v1/healthcheck`);
    socket.resetAndDestroy();
    await once(socket, 'close');
    await fetch(`${server.url}/api/v1/healthcheck`);
  }
  expect((await fetch(`${server.url}/api/v1/healthcheck`)).status).toBe(200);
});
