import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.trustedProxies = ['127.0.0.1', '10.1.0.0/16', 'fd00::/8'];
    config.api.workerUsers = ['worker@EXAMPLE.COM'];
  });
});
afterAll(() => api.close());

const json = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
const submit = (peer: string, user = 'alice@EXAMPLE.COM') => api.ask('POST', '/api/v1/builds/rm', { user, json, peer });

test.each(['127.0.0.1', '::ffff:127.0.0.1', '10.1.200.3', 'fd12::1'])(
  'a user named by %s is believed',
  async (peer) => {
    const { status, json } = await submit(peer);
    expect([status, json.user]).toEqual([201, 'alice@EXAMPLE.COM']);
  },
);

test.each(['10.2.0.1', '::1', '192.0.2.7'])('a user named by %s is not', async (peer) => {
  const { status, headers } = await submit(peer);
  expect(status).toBe(401);
  expect(headers.get('www-authenticate')).toBe('Negotiate');
});

test('only workers may PATCH, and only by way of a trusted peer', async () => {
  const { id } = (await submit('127.0.0.1')).json;
  const patch = (user: string, peer: string) =>
    api.ask('PATCH', `/api/v1/builds/${id}`, { user, peer, json: { arches: ['amd64'] } });
  expect((await patch('alice@EXAMPLE.COM', '127.0.0.1')).status).toBe(403);
  expect((await patch('worker@EXAMPLE.COM', '192.0.2.7')).status).toBe(401);
  expect((await patch('worker@EXAMPLE.COM', '127.0.0.1')).json.arches).toEqual(['amd64']);
});

test('where login is disabled anonymous callers pass and users are still recorded', async () => {
  const open = await testApi((config) => {
    config.api.loginDisabled = true;
  });
  try {
    const overwrite = { ...json, overwrite_from_index: true };
    const anonymous = await open.ask('POST', '/api/v1/builds/rm', { json: overwrite });
    expect([anonymous.status, anonymous.json.user]).toEqual([201, null]);
    const named = await open.ask('POST', '/api/v1/builds/rm', { json: overwrite, user: 'bob' });
    expect([named.status, named.json.error]).toEqual([
      403,
      'You must set "overwrite_from_index_token" to use "overwrite_from_index"',
    ]);
  } finally {
    await open.close();
  }
});

test('a trusted proxy that is no address stops the start', () => {
  const { config, world } = api;
  const wrong = { ...config, api: { ...config.api, trustedProxies: ['proxy.example.com'] } };
  expect(() => createApp({ config: wrong, database: world.database, log: createLog('silent', 'api') })).toThrow(
    'api.trustedProxies: proxy.example.com is not an address',
  );
});
