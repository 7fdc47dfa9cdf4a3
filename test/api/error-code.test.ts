import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.close());

const own = { accept: 'application/vnd.indexwright+json' };

test.each([
  ['POST', '/api/v1/builds/rm', 'unauthorized', {}],
  ['POST', '/api/v1/builds/rm', 'media_type_unsupported', { user: 'alice' }],
  ['POST', '/api/v1/builds/rm', 'request_invalid', { user: 'alice', json: {} }],
  ['PATCH', '/api/v1/builds/1', 'request_forbidden', { user: 'alice', json: {} }],
  ['GET', '/api/v1/builds?state=odd', 'request_invalid', {}],
  ['GET', '/api/v1/builds/4711', 'not_found', {}],
  ['GET', '/elsewhere', 'not_found', {}],
  ['DELETE', '/api/v1/builds', 'method_not_allowed', {}],
])('%s %s: %s in a header, and in the body for who asks', async (method, path, code, ask) => {
  const plain = await api.ask(method, path, ask);
  expect(plain.headers.get('x-error-code')).toBe(code);
  expect(Object.keys(plain.json)).toEqual(['error']);
  const asked = await api.ask(method, path, { ...ask, headers: own });
  expect(asked.json).toEqual({ ...plain.json, code });
});
