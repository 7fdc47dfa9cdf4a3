import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, type TestApi, testApi } from '../support/api.ts';
import { SOAK } from '../support/soak.ts';
import { look, type Shot, submission } from './support/payloads.ts';

/** INDEXWRIGHT_SOAK=1 sends a hundred thousand payloads (some ten minutes); as many looks for every four of them. */
const PAYLOADS = SOAK ? 100_000 : 2_400;
const SEED = process.env.INDEXWRIGHT_SEED === undefined ? {} : { seed: Number(process.env.INDEXWRIGHT_SEED) };
/** Milliseconds; an answer that takes longer counts as none. */
const PATIENCE = 10_000;

let api: TestApi;
beforeAll(async () => {
  api = await testApi((config, dir) => {
    config.api.loginDisabled = true;
    config.api.workerUsers = ['worker@EXAMPLE.COM'];
    config.api.graphModeIndexAllowList = ['reg.example.com/a'];
    config.storage.logsDir = `${dir}/logs`;
    config.storage.relatedBundlesDir = `${dir}/related`;
  });
});
afterAll(() => api.close());

/** Ids of stored requests, in the order of their answers. */
const ids: number[] = [];
/** Every text in a payload that was accepted: no pull spec may come from anywhere else. */
const accepted = new Set<string>();
const tally: Record<string, number> = {};
let batches = 0;
let slowest = 0;

test('random and mutated payloads never break the service, and store nothing when refused', async () => {
  const property = fc.asyncProperty(submission, fc.nat(), async (shot, pick) => {
    const id = ids.at(pick % Math.max(ids.length, 1)) ?? 1;
    const before = shot.method === 'PATCH' ? (await get(id)).text : '';
    const { status, json } = await fire(shot, id);
    if (status === 201) {
      ids.push(...[json].flat().map((request) => request.id));
      batches += 1;
    } else if (shot.method === 'PATCH' && status !== 200) {
      expect((await get(id)).text).toBe(before);
    }
    if (status < 300) remember(JSON.parse(shot.raw ?? ''));
  });
  await fc.assert(property, { numRuns: PAYLOADS, endOnFailure: true, ...SEED });
  await expectOnlyAccepted();
  // The generators are worth nothing when hardly anything gets through, or everything.
  expect(tally['POST 201'] ?? 0).toBeGreaterThan(PAYLOADS / 10);
  expect(tally['POST 400'] ?? 0).toBeGreaterThan(PAYLOADS / 10);
  expect(tally['PATCH 200'] ?? 0).toBeGreaterThan(PAYLOADS / 200);
}, 3_600_000);

test('random queries never break the service', async () => {
  const property = fc.asyncProperty(look, fc.nat(), async (shot, pick) => {
    await fire(shot, ids.at(pick % Math.max(ids.length, 1)) ?? 1);
  });
  await fc.assert(property, { numRuns: PAYLOADS / 4, endOnFailure: true, ...SEED });
  expect(tally['GET 200'] ?? 0).toBeGreaterThan(PAYLOADS / 40);
  console.log(`answers ${JSON.stringify(tally)}, slowest ${Math.round(slowest)} ms`);
}, 3_600_000);

/** Sends it. Answers are held against the description by `ask`. */
async function fire({ method, path, user, raw, contentType }: Shot, id: number): Promise<Answer> {
  const began = performance.now();
  const answer = await Promise.race([
    api.ask(method, path.replace('{id}', `${id}`), {
      ...(user === undefined ? {} : { user: Buffer.from(user).toString('latin1') }),
      ...(raw === undefined ? {} : { raw, headers: { 'content-type': contentType ?? '' } }),
    }),
    new Promise<never>((_, reject) => setTimeout(reject, PATIENCE, new Error('no answer')).unref()),
  ]);
  slowest = Math.max(slowest, performance.now() - began);
  const kind = `${method} ${answer.status}`;
  tally[kind] = (tally[kind] ?? 0) + 1;
  // Artifacts that no worker has written are 500 by contract (rest-api.md §1.1, D28).
  if (!/logs|bundles$/.test(path) || method !== 'GET') expect(answer.status).toBeLessThan(500);
  return answer;
}

const get = (id: number) => api.ask('GET', `/api/v1/builds/${id}`);

function remember(value: unknown): void {
  if (typeof value === 'string') accepted.add(value);
  else if (Array.isArray(value)) value.forEach(remember);
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach(remember);
}

async function expectOnlyAccepted(): Promise<void> {
  const { pool } = api.world.database;
  const { rows } = await pool.query(`select
    (select count(*)::int from requests) as requests,
    (select count(*)::int from batches) as batches,
    (select count(distinct request_id)::int from request_states) as histories,
    (select count(*)::int from graphile_worker._private_jobs) as jobs`);
  expect(rows[0]).toEqual({ requests: ids.length, batches, histories: ids.length, jobs: ids.length });
  const specs = await pool.query<{ spec: string }>('select spec from pull_specs');
  expect(specs.rows.map(({ spec }) => spec).filter((spec) => !accepted.has(spec))).toEqual([]);
}
