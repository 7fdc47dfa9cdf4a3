import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { forgetSecrets, openSecrets, readSealingKey, type SealingKey } from '../../src/db/secrets.ts';
import { sealSubmission, storeSubmissions } from '../../src/db/submission.ts';
import { inSecretScope, mask } from '../../src/telemetry/secrets.ts';
import { testConfig } from '../support/config.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

let world: TestDatabase;
const { config, dir, remove } = testConfig('postgres://unused');
beforeAll(async () => {
  world = await freshDatabase();
});
afterAll(async () => {
  await world.drop();
  remove();
});

const key = readSealingKey(config.secretKeyFile);
const secrets = {
  overwrite_from_index_token: 'user:very-secret-token',
  registry_auths: { auths: { 'reg.example.com': { auth: 'dXNlcjpwYXNz' } } },
};

function requestWith(given: typeof secrets | Record<string, never>): Promise<number> {
  return world.database.transaction(async (tx) => {
    const requests = [{ type: 'rm' as const, payload: {}, fromIndex: null, secrets: given }];
    const submission = { user: null, annotations: null, requests, pullSpecs: [] };
    const [stored] = await storeSubmissions(tx, [await sealSubmission(tx, key, submission)]);
    return stored?.[0]?.id ?? 0;
  });
}

const open = (id: number, with_: SealingKey = key) => world.database.read((db) => openSecrets(db, with_, id));

test('sealed secrets can be opened, and nothing in the database shows them', async () => {
  const id = await requestWith(secrets);
  await inSecretScope(async () => {
    expect(await open(id)).toEqual(secrets);
    expect(mask('user:very-secret-token or dXNlcjpwYXNz or user:pass')).toBe('***** or ***** or *****');
  });
  const { rows } = await world.database.pool.query('select sealed from request_secrets');
  for (const { sealed } of rows) expect((sealed as Buffer).toString('latin1')).not.toContain('secret');
  // Forgotten with the work on the request.
  expect(mask('user:very-secret-token')).toBe('user:very-secret-token');
});

test('a request without secrets has no row; forgotten ones are gone', async () => {
  expect(await open(await requestWith({}))).toEqual({});
  const id = await requestWith(secrets);
  await world.database.transaction((tx) => forgetSecrets(tx, id));
  expect(await open(id)).toEqual({});
});

test('another key and a row of another request are refused', async () => {
  const id = await requestWith(secrets);
  const other = randomBytes(32) as unknown as SealingKey;
  await expect(open(id, other)).rejects.toMatchObject({ code: 'configuration_invalid' });
  const stranger = await requestWith({});
  await world.database.pool.query(
    'insert into request_secrets select $1::int, sealed from request_secrets where request_id = $2::int',
    [stranger, id],
  );
  await expect(open(stranger)).rejects.toMatchObject({ code: 'configuration_invalid' });
});

test('a key of the wrong length is refused', () => {
  const file = join(dir, 'short-key');
  writeFileSync(file, 'c2hvcnQ=');
  expect(() => readSealingKey(file)).toThrow('secretKeyFile must hold 32 bytes in base64');
  expect(() => readSealingKey(join(dir, 'none'))).toThrow('cannot be read');
});
