import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { type ApiProcess, spawnApi } from './support/api-process.ts';
import { HOSTILE } from './support/hostile.ts';

/** Timing is not looked at here: bench/hostile-api.ts prints what each of these costs. */
let world: TestDatabase;
let api: ApiProcess;
beforeAll(async () => {
  world = await freshDatabase();
  api = await spawnApi(world.url);
});
afterAll(async () => {
  await api?.stop();
  await world?.drop();
});

test.each(HOSTILE)('$name → $status', async (hostile) => {
  const answer = await api.send(hostile);
  expect(answer.status).toBe(hostile.status);
  if (hostile.status >= 300) {
    const { error } = JSON.parse(answer.text);
    expect(error).toContain(hostile.error ?? '');
    expect(error.length).toBeLessThanOrEqual(17_000);
  }
  expect(answer.text.length).toBeLessThan(32 * 1024 * 1024);
});

test('the process never had more than 512 MB, and still answers', async () => {
  expect((await api.send({ method: 'GET', path: '/api/v1/healthcheck' })).status).toBe(200);
  expect(api.peakRss()).toBeLessThan(512 * 1024 * 1024);
  expect(api.errors()).toEqual([]);
});
