import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { OpenApi } from '../../src/api/openapi.ts';
import { type TestApi, testApi } from '../support/api.ts';
import { contradiction } from '../support/description.ts';

let api: TestApi;
let description: OpenApi;
beforeAll(async () => {
  api = await testApi();
  description = parse((await api.ask('GET', '/static/api_v1.yaml')).text);
});
afterAll(() => api.close());

test('every route of the service is described, and no other', () => {
  const served = api.app.routes
    .filter(({ path, method }) => path.startsWith('/api/') && !['ALL', 'OPTIONS'].includes(method))
    .map(({ path, method }) => `${method} ${path.replace(':id{[0-9]+}', '{id}')}`);
  const described = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual([...new Set(served)].sort());
});

test.each(['/static/api_v1.yaml', '/static/docs.html'])('%s is not sent to who has it already', async (path) => {
  const first = await api.ask('GET', path);
  const [etag, modified] = [first.headers.get('etag') ?? '', first.headers.get('last-modified') ?? ''];
  expect(etag).toMatch(/^"[^"]+"$/);
  expect(first.headers.get('cache-control')).toBe('no-cache');
  const asked = async (headers: Record<string, string>, method = 'GET') => {
    const answer = await api.ask(method, path, { headers });
    if (answer.status === 304) {
      expect([answer.text, answer.headers.get('etag'), answer.headers.get('last-modified')]).toEqual([
        '',
        etag,
        modified,
      ]);
    }
    return answer.status;
  };
  const before = new Date(Date.parse(modified) - 1000).toUTCString();
  expect(await asked({ 'if-none-match': etag })).toBe(304);
  expect(await asked({ 'if-none-match': `"other", W/${etag}` })).toBe(304);
  expect(await asked({ 'if-none-match': '*' })).toBe(304);
  expect(await asked({ 'if-none-match': etag }, 'HEAD')).toBe(304);
  expect(await asked({ 'if-none-match': '"other"' })).toBe(200);
  expect(await asked({ 'if-modified-since': modified })).toBe(304);
  expect(await asked({ 'if-modified-since': before })).toBe(200);
  expect(await asked({ 'if-modified-since': 'some day' })).toBe(200);
  // RFC 9110 §13.1.3: the date does not count where a tag is given.
  expect(await asked({ 'if-none-match': '"other"', 'if-modified-since': modified })).toBe(200);
  expect(await asked({ 'if-none-match': etag, 'if-modified-since': before })).toBe(304);
});

test('every reference leads somewhere', () => {
  const names = [...JSON.stringify(description).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    (match) => match[1],
  );
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !Object.hasOwn(description.components.schemas, name ?? ''))).toEqual([]);
});

test('the page shows every route and every schema', async () => {
  const { text } = await api.ask('GET', '/');
  for (const path of Object.keys(description.paths)) expect(text).toContain(`<code>${path}</code>`);
  for (const name of Object.keys(description.components.schemas)) expect(text).toContain(`id="schema-${name}"`);
});

test('what is sent and what is answered are described by what the service works with', () => {
  const { AddBody, Add, AddShort } = description.components.schemas;
  expect(AddBody).toMatchObject({ required: ['from_index'], additionalProperties: false });
  expect(Object.keys(Add?.properties as object)).toEqual(expect.arrayContaining(['logs', 'state_history']));
  expect(Object.keys(AddShort?.properties as object)).not.toContain('state_history');
});

test('an answer that is not as described is noticed', async () => {
  const rm = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
  const { json } = await api.ask('POST', '/api/v1/builds/rm', { user: 'alice', json: rm });
  const exchange = { method: 'GET', path: `/api/v1/builds/${json.id}`, status: 200, contentType: 'application/json' };
  const answered = (value: object) => contradiction({ ...exchange, text: JSON.stringify(value) });
  expect(answered(json)).toBeNull();
  const { removed_operators: _, ...less } = json;
  expect(answered(less)).not.toBeNull();
  expect(answered({ ...json, password: 'x' })).not.toBeNull();
  expect(answered({ ...json, state: 'queued' })).not.toBeNull();
  expect(answered({ ...json, updated: '2026-01-01 00:00:00' })).not.toBeNull();
  expect(contradiction({ ...exchange, status: 418, text: '{}' })).toContain('418');
  expect(contradiction({ ...exchange, path: '/api/v1/elsewhere', text: '{}' })).toContain('not described');
});
