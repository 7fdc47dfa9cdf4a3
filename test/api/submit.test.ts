import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSecrets, readSealingKey } from '../../src/db/secrets.ts';
import { type TestApi, testApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.close());

const user = 'alice@EXAMPLE.COM';
const rm = { operators: ['webapp'], from_index: 'reg.example.com/index:v4.16', binary_image: 'reg.example.com/opm:1' };
const post = (type: string, json: unknown) => api.ask('POST', `/api/v1/builds/${type}`, { user, json });

async function rowsOf(table: string): Promise<number> {
  const { rows } = await api.world.database.pool.query(`select count(*)::int as n from ${table}`);
  return rows[0].n;
}

async function stored(id: number): Promise<Record<string, unknown>> {
  const { rows } = await api.world.database.pool.query('select payload from requests where id = $1', [id]);
  return rows[0].payload;
}

test('a request is stored with its state, its job and nothing secret in clear', async () => {
  const token = 'robot:a-token-nobody-may-read';
  const { status, json, text } = await post('add', {
    ...rm,
    operators: undefined,
    bundles: ['reg.example.com/b:1', 'reg.example.com/b:1'],
    add_arches: ['s390x'],
    overwrite_from_index: true,
    overwrite_from_index_token: token,
    cnr_token: 'another-secret-token',
    force_backport: true,
  });
  expect(status).toBe(201);
  expect(text).not.toContain('token');
  const payload = await stored(json.id);
  expect(payload).toMatchObject({
    add_arches: ['s390x'],
    overwrite_from_index: true,
    bundles: ['reg.example.com/b:1'],
  });
  expect(JSON.stringify(payload)).not.toContain('token');
  const key = readSealingKey(api.config.secretKeyFile);
  const secrets = await api.world.database.read((db) => openSecrets(db, key, json.id));
  expect(secrets).toEqual({ overwrite_from_index_token: token });
  const { rows } = await api.world.database.pool.query(
    'select payload from graphile_worker._private_jobs where key = $1',
    [`admit:${json.id}`],
  );
  expect(rows).toEqual([{ payload: { requestId: json.id } }]);
});

test('tokens that are longer, or more, than any client needs are refused, and nothing is stored', async () => {
  const before = await rowsOf('requests');
  const add = { ...rm, operators: undefined, bundles: [], overwrite_from_index: true };
  const long = await post('add', { ...add, overwrite_from_index_token: `x:${'y'.repeat(65_536)}` });
  expect(long.status).toBe(400);
  const auth = Buffer.from('x:'.padEnd(40_000, 'y')).toString('base64');
  const auths = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`reg${at}.io`, { auth: `${at}${auth}` }]));
  const many = await post('regenerate-bundle', { from_bundle_image: 'reg.example.com/b:1', registry_auths: { auths } });
  expect(many.status).toBe(400);
  expect(await rowsOf('requests')).toEqual(before);
});

test('a batch with one bad member stores nothing at all', async () => {
  const before = [await rowsOf('requests'), await rowsOf('batches'), await rowsOf('pull_specs')];
  const bad = { ...rm, from_index: 'reg.example.com/never-seen' };
  const { status, json } = await post('add-rm-batch', { build_requests: [rm, bad] });
  expect(status).toBe(400);
  expect(json.error).toBe(
    'Image reg.example.com/never-seen should have a tag or a digest specified. ' +
      'This occurred on the build request in index 1.',
  );
  expect([await rowsOf('requests'), await rowsOf('batches'), await rowsOf('pull_specs')]).toEqual(before);
});

test('when the job cannot be stored, nothing is', async () => {
  const { pool } = api.world.database;
  const before = await rowsOf('requests');
  await pool.query('alter function graphile_worker.add_jobs rename to add_jobs_away');
  try {
    const { status, json } = await post('rm', rm);
    expect(status).toBe(500);
    expect(json.error).toMatch(/^The server encountered an internal error/);
    expect(await rowsOf('requests')).toBe(before);
  } finally {
    await pool.query('alter function graphile_worker.add_jobs_away rename to add_jobs');
  }
});

test('members of a batch share batch, annotations and time, in input order', async () => {
  const raw = `{"annotations":{"n":12345678901234567890,"x":1.50},"build_requests":[${JSON.stringify(rm)},${JSON.stringify(rm)}]}`;
  const { status, json, text } = await api.ask('POST', '/api/v1/builds/add-rm-batch', { user, raw });
  expect(status).toBe(201);
  expect(text).toContain('"batch_annotations":{"n":12345678901234567890,"x":1.50}');
  const [first, second] = json;
  expect(second.id).toBe(first.id + 1);
  expect(second.batch).toBe(first.batch);
  expect(second.updated).toBe(first.updated);
});

test('registry auths are sealed, whole', async () => {
  const registry_auths = { auths: { 'reg.example.com': { auth: 'c2VjcmV0OnNlY3JldA==' } } };
  const { status, json } = await post('regenerate-bundle', {
    from_bundle_image: 'reg.example.com/b:1',
    registry_auths,
  });
  expect(status).toBe(201);
  const key = readSealingKey(api.config.secretKeyFile);
  expect(await api.world.database.read((db) => openSecrets(db, key, json.id))).toEqual({ registry_auths });
  expect(await stored(json.id)).toEqual({
    from_bundle_image: 'reg.example.com/b:1',
    bundle_replacements: {},
    organization: null,
  });
});

test('long values are no problem', async () => {
  const from_index = `reg.example.com/${'é'.repeat(8000)}:1`;
  const organization = 'x'.repeat(1000);
  const made = await post('add', { ...rm, operators: undefined, from_index, organization });
  expect(made.status).toBe(201);
  const url = `/api/v1/builds?from_index=${encodeURIComponent(from_index)}`;
  expect((await api.ask('GET', url)).json.meta.total).toBe(1);
  const prefix = `/api/v1/builds?from_index_startswith=${encodeURIComponent(from_index.slice(0, 4000))}`;
  expect((await api.ask('GET', prefix)).json.items).toHaveLength(1);
});

test('a key that JavaScript treats specially is a key like any other', async () => {
  const raw = '{"from_index":"i:1","binary_image":"scratch","labels":{"__proto__":"kept","constructor":"too"}}';
  const { json, text } = await api.ask('POST', '/api/v1/builds/create-empty-index', { user, raw });
  expect(text).toContain('"labels":{"__proto__":"kept","constructor":"too"}');
  expect((await api.ask('GET', `/api/v1/builds/${json.id}`)).text).toBe(text);
});

test('nesting is held up to a hundred levels in annotations and never breaks the service', async () => {
  const nested = (depth: number) =>
    `{"annotations":{"deep":${'['.repeat(depth)}${']'.repeat(depth)}},"build_requests":[${JSON.stringify(rm)}]}`;
  for (const [depth, status] of [
    [100, 201],
    [127, 201],
    [128, 400],
    [5000, 400],
    [200_000, 400],
  ] as const) {
    const answer = await api.ask('POST', '/api/v1/builds/add-rm-batch', { user, raw: nested(depth) });
    expect([depth, answer.status]).toEqual([depth, status]);
  }
});

test('text that no database keeps is refused wherever it would be stored', async () => {
  const malformed = 'The browser (or proxy) sent a request that this server could not understand.';
  const labels = { from_index: 'i:1', binary_image: 'scratch', labels: { a: 'b\0' } };
  expect((await post('create-empty-index', labels)).json).toEqual({ error: malformed });
  const member = await post('add-rm-batch', { build_requests: [{ ...rm, operators: ['\ud800'] }] });
  expect([member.status, member.json]).toEqual([400, { error: malformed }]);
});

test('many at once are stored each with its own batch, state, job, secrets and answer', async () => {
  const token = (n: number) => `robot:token-${n}-of-many`;
  const posts = Array.from({ length: 40 }, (_, n) =>
    post('rm', {
      ...rm,
      operators: [`of-many-${n}`],
      ...(n % 3 === 0 ? { overwrite_from_index: true, overwrite_from_index_token: token(n) } : {}),
    }),
  );
  const answers = await Promise.all(posts);
  const key = readSealingKey(api.config.secretKeyFile);
  for (const [n, { status, json, text }] of answers.entries()) {
    expect([status, json.removed_operators]).toEqual([201, [`of-many-${n}`]]);
    expect((await api.ask('GET', `/api/v1/builds/${json.id}`)).text).toBe(text);
    const secrets = await api.world.database.read((db) => openSecrets(db, key, json.id));
    expect(secrets).toEqual(n % 3 === 0 ? { overwrite_from_index_token: token(n) } : {});
  }
  expect(new Set(answers.map(({ json }) => json.batch)).size).toBe(40);
  const jobs = await api.world.database.pool.query('select 1 from graphile_worker._private_jobs where key = any($1)', [
    answers.map(({ json }) => `admit:${json.id}`),
  ]);
  expect(jobs.rowCount).toBe(40);
});

test('a request that the database refuses fails alone', async () => {
  const { pool } = api.world.database;
  await pool.query(`alter table requests add constraint refused check (payload -> 'operators' ->> 0 <> 'refused')`);
  try {
    const operators = ['a', 'b', 'refused', 'c', 'd'];
    const answers = await Promise.all(operators.map((operator) => post('rm', { ...rm, operators: [operator] })));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 500, 201, 201]);
  } finally {
    await pool.query('alter table requests drop constraint refused');
  }
});
