import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDelivery, updateDelivery } from '../../src/db/deliveries.ts';
import { forgetSecrets, openSecrets, readSealingKey, type SealingKey } from '../../src/db/secrets.ts';
import { addState } from '../../src/db/states.ts';
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

describe('the secrets of a request go with its end, whoever ends it', () => {
  const sealed = async (id: number) => Object.keys(await open(id)).length > 0;
  const end = (id: number, state: 'complete' | 'failed' = 'failed') =>
    world.database.transaction((tx) => addState(tx, id, state, `it is ${state}`));
  const admitted = async () => {
    const id = await requestWith(secrets);
    await world.database.transaction((tx) => openDelivery(tx, [id], null));
    const { rows } = await world.database.pool.query('select delivery_id from requests where id = $1', [id]);
    return { id, delivery: (rows as { delivery_id: number }[])[0]?.delivery_id as number };
  };

  test('before it has a delivery', async () => {
    const id = await requestWith(secrets);
    await world.database.transaction((tx) => addState(tx, id, 'in_progress', 'still in progress'));
    expect(await sealed(id)).toBe(true);
    await end(id, 'complete');
    expect(await sealed(id)).toBe(false);
  });

  test('while its delivery is worked on: when that is over, in which way ever', async () => {
    for (const state of ['complete', 'undone'] as const) {
      const { id, delivery } = await admitted();
      await end(id);
      // Publishing or undoing may need them.
      expect(await sealed(id)).toBe(true);
      await world.database.transaction((tx) => updateDelivery(tx, delivery, { state: 'undoing' }));
      expect(await sealed(id)).toBe(true);
      await world.database.transaction((tx) => updateDelivery(tx, delivery, { state }));
      expect(await sealed(id)).toBe(false);
    }
  });

  test('after its delivery, or in its transaction', async () => {
    const late = await admitted();
    await world.database.transaction((tx) => updateDelivery(tx, late.delivery, { state: 'undone' }));
    // Of a delivery of several one may go on in another.
    expect(await sealed(late.id)).toBe(true);
    await end(late.id);
    const same = await admitted();
    await world.database.transaction(async (tx) => {
      await updateDelivery(tx, same.delivery, { state: 'complete' });
      await addState(tx, same.id, 'complete', 'done');
    });
    expect([await sealed(late.id), await sealed(same.id)]).toEqual([false, false]);
  });

  test('by a transaction that its delivery’s end does not see yet', async () => {
    const { id, delivery } = await admitted();
    const patched = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const patch = world.database.transaction(async (tx) => {
      await addState(tx, id, 'failed', 'ended from outside');
      patched.resolve();
      await go.promise;
    });
    await patched.promise;
    const over = world.database.transaction((tx) => updateDelivery(tx, delivery, { state: 'undone' }));
    const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await expect.poll(async () => (await world.database.pool.query(waiting)).rows.length).toBe(1);
    go.resolve();
    await Promise.all([patch, over]);
    expect(await sealed(id)).toBe(false);
  });
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
