import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createToken, revokeToken } from '../../src/db/tokens.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { type Ask, type TestApi, testApi } from '../support/api.ts';
import { type IdentityProvider, identityProvider } from './support/identity-provider.ts';

const AUDIENCE = 'indexwright';
let provider: IdentityProvider;
let api: TestApi;
beforeAll(async () => {
  provider = await identityProvider(AUDIENCE);
  api = await testApi((config) => {
    config.api.oidc = { issuer: provider.issuer, audience: AUDIENCE, userClaim: 'sub', groupsClaim: 'groups' };
    config.api.roles = {
      submit: ['alice', 'group:releasers', 'group:machines', 'worker'],
      overwrite: ['group:releasers'],
      worker: ['worker'],
      admin: ['group:admins'],
    };
  });
});
afterAll(async () => {
  await api.close();
  await provider.close();
});

const rm = { operators: ['webapp'], from_index: 'i:1', binary_image: 'scratch' };
const overwriting = { ...rm, overwrite_from_index: true, overwrite_from_index_token: 'robot:token' };
const post = (json: object, ask: Ask = {}) => api.ask('POST', '/api/v1/builds/rm', { json, ...ask });
const bearing = (token: string): Ask => ({ headers: { authorization: `Bearer ${token}` }, peer: '192.0.2.1' });

describe('OIDC', () => {
  test('the claim names the principal', async () => {
    const { status, json } = await post(rm, bearing(await provider.token({ sub: 'alice' })));
    expect([status, json.user]).toEqual([201, 'alice']);
  });

  test('keys are asked for once, and again when there is a new one', async () => {
    const before = provider.asked();
    for (let i = 0; i < 3; i += 1) await post(rm, bearing(await provider.token({ sub: 'alice' })));
    expect(provider.asked()).toBe(before);
  });

  test('tokens that are not for us, expired, forged or without the claim are refused, and not taken for nobody', async () => {
    const forged = new SignJWT({ sub: 'alice' }).setProtectedHeader({ alg: 'HS256', kid: 'key-1' });
    const claims = forged.setIssuer(provider.issuer).setAudience(AUDIENCE).setExpirationTime('5m');
    const open = await testApi((config) => {
      config.api.oidc = { issuer: provider.issuer, audience: AUDIENCE, userClaim: 'sub', groupsClaim: 'groups' };
      config.api.loginDisabled = true;
    });
    try {
      for (const token of [
        await provider.token({ sub: 'alice' }, { audience: 'somebody else' }),
        await provider.token({ sub: 'alice' }, { issuer: 'http://127.0.0.1:1/realm' }),
        await provider.token({ sub: 'alice' }, { expires: '-2m' }),
        await provider.token({ name: 'alice' }),
        await provider.token({ sub: 'ali\0ce' }),
        await provider.token({ sub: 'alice\ud800' }),
        await provider.token({ sub: '' }),
        await claims.sign(new TextEncoder().encode('x'.repeat(32))),
        'nonsense',
        'iwt_nonsense',
      ]) {
        const { status, headers } = await open.ask('POST', '/api/v1/builds/rm', { json: rm, ...bearing(token) });
        expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer error="invalid_token"']);
      }
      expect((await open.ask('POST', '/api/v1/builds/rm', { json: rm })).json.user).toBeNull();
    } finally {
      await open.close();
    }
  });

  test('a provider that cannot be reached is our trouble, not the caller’s', async () => {
    const issuer = `http://127.0.0.1:${await freePort()}/realm`;
    const lost = await testApi((config) => {
      config.api.oidc = { issuer, audience: AUDIENCE, userClaim: 'sub', groupsClaim: 'groups' };
    });
    try {
      const token = await provider.token({ sub: 'alice' }, { issuer });
      const { status, json } = await lost.ask('POST', '/api/v1/builds/rm', { json: rm, ...bearing(token) });
      expect([status, json.error]).toEqual([503, 'The identity provider cannot be asked for its keys']);
    } finally {
      await lost.close();
    }
  });
});

describe('static tokens', () => {
  const make = (user: string, groups: string[], days: number | null = null) =>
    api.world.database.read((db) => createToken(db, { user, groups }, days));

  test('name a principal, until they are revoked or expire', async () => {
    const { id, token } = await make('machine', ['machines']);
    expect((await post(rm, bearing(token))).json.user).toBe('machine');
    const { rows } = await api.world.database.pool.query('select * from api_tokens');
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(await api.world.database.read((db) => revokeToken(db, id))).toBe(true);
    expect((await post(rm, bearing(token))).status).toBe(401);
    const short = await make('machine', ['machines'], 1e-9);
    expect((await post(rm, bearing(short.token))).status).toBe(401);
  });

  test('are made, shown and revoked on the command line', async () => {
    const config = join(api.dir, 'config.yaml');
    const { databaseUrl, secretKeyFile, stateDir, registry, cluster, opm } = api.config;
    writeFileSync(config, JSON.stringify({ databaseUrl, secretKeyFile, stateDir, registry, cluster, opm }));
    const cli = (...args: string[]) =>
      promisify(execFile)(process.execPath, [resolve('src/cli/main.ts'), 'token', ...args, '-c', config]);
    const made = await cli('create', '--user', 'ci', '--group', 'machines', '--group', 'nightly', '--days', '30');
    expect(made.stdout).toMatch(/^iwt_[\w-]{43}\n$/);
    expect((await post(rm, bearing(made.stdout.trim()))).json.user).toBe('ci');
    const { stdout } = await cli('list');
    const line = stdout.split('\n').find((text) => text.includes('\tci\t')) ?? '';
    expect(line).toContain('machines,nightly');
    expect(stdout).not.toContain(made.stdout.trim());
    await cli('revoke', line.split('\t')[0] ?? '');
    expect((await post(rm, bearing(made.stdout.trim()))).status).toBe(401);
    await expect(cli('revoke', '4711')).rejects.toThrow('There is no token 4711 that could be revoked');
  });
});

describe('roles', () => {
  test('who may submit', async () => {
    expect((await post(rm, { user: 'alice' })).status).toBe(201);
    const { status, json } = await post(rm, { user: 'mallory' });
    expect([status, json.error]).toEqual([403, 'You are not allowed to submit requests']);
    expect((await post(rm, { user: 'mallory', headers: { 'content-type': 'text/plain' } })).status).toBe(403);
  });

  test('who may overwrite, in batches too', async () => {
    const refused = await post(overwriting, { user: 'alice' });
    expect([refused.status, refused.json.error]).toEqual([403, 'You are not allowed to overwrite indexes']);
    const json = { build_requests: [rm, overwriting] };
    expect((await api.ask('POST', '/api/v1/builds/add-rm-batch', { user: 'alice', json })).status).toBe(403);
    const releaser = bearing(await provider.token({ sub: 'bob', groups: ['releasers'] }));
    expect((await post(overwriting, releaser)).status).toBe(201);
    const one = bearing(await provider.token({ sub: 'bob', groups: 'releasers' }));
    expect((await api.ask('POST', '/api/v1/builds/add-rm-batch', { json, ...one })).status).toBe(201);
  });

  test('who may report results', async () => {
    const { id } = (await post(rm, { user: 'alice' })).json;
    const patch = (ask: Ask) => api.ask('PATCH', `/api/v1/builds/${id}`, { json: { arches: ['amd64'] }, ...ask });
    expect((await patch({ user: 'alice' })).json.error).toBe('This API endpoint is restricted to IIB workers');
    expect((await patch({ user: 'worker' })).status).toBe(200);
  });

  test('administrators may do everything', async () => {
    const admin = bearing(await provider.token({ sub: 'root', groups: ['admins'] }));
    const { status, json } = await post(overwriting, admin);
    expect(status).toBe(201);
    const patched = await api.ask('PATCH', `/api/v1/builds/${json.id}`, { json: { arches: ['amd64'] }, ...admin });
    expect(patched.status).toBe(200);
  });

  test('groups come from tokens alone', async () => {
    expect((await post(rm, { user: 'group:releasers' })).status).toBe(403);
  });
});

test('a user named by the trusted proxy comes before a token', async () => {
  const token = await provider.token({ sub: 'bob', groups: ['releasers'] });
  const { json } = await post(rm, { user: 'alice', headers: { authorization: `Bearer ${token}` } });
  expect(json.user).toBe('alice');
});

test.each(['Bearer stale', 'Negotiate YII=', 'Basic eDp5', ''])(
  'GET ignores the header "%s"',
  async (authorization) => {
    expect((await api.ask('GET', '/api/v1/builds', { headers: { authorization } })).status).toBe(200);
  },
);

test('without a token the caller is told both ways to log in', async () => {
  const { status, headers } = await post(rm, { peer: '192.0.2.1', headers: { authorization: 'Negotiate YII=' } });
  expect([status, headers.get('www-authenticate')]).toEqual([401, 'Negotiate, Bearer']);
});
