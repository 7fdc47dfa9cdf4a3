import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type CredentialStore, noCredentials, withAuths, withEntry } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from '../../src/registry/manifest.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { pushed, temporaryDirectory } from './fixtures.ts';
import { startGate } from './gate.ts';
import { type RunningAuthority, startTokenAuthority } from './token-authority.ts';

let dir: string;
let authority: RunningAuthority;
let registry: RunningRegistry;
let digest: string;

beforeAll(async () => {
  dir = await temporaryDirectory();
  authority = await startTokenAuthority(dir, { anna: 'anna-secret', otto: 'otto-secret' });
  registry = await startRegistry({ dir: join(dir, 'registry'), auth: { token: authority.trust } });
  const image = [{ architecture: 'amd64', layers: [] }];
  digest = await pushed(`${registry.host}/public/image:1`, image, { credentials: 'anna:anna-secret' });
  await pushed(`${registry.host}/private/anna:1`, image, { credentials: 'anna:anna-secret' });
  await pushed(`${registry.host}/private/otto:1`, image, { credentials: 'otto:otto-secret' });
});
beforeEach(() => {
  authority.given.length = 0;
  authority.life = 300;
});
afterAll(async () => {
  await registry?.close();
  await authority?.close();
  await rm(dir, { recursive: true, force: true });
});

const basic = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
const client = (auth: CredentialStore, host = registry.host) =>
  createRegistryClient({ auth, insecure: [host], callTimeout: 5_000 });
const at = (path: string) => `${registry.host}/${path}`;

test('anonymous reading, one token for many calls at once', async () => {
  const anybody = client(noCredentials);
  const specs = Array.from({ length: 20 }, () => at('public/image:1'));
  const found = await Promise.all(specs.map((spec) => anybody.digestOf(spec)));
  expect(new Set(found)).toEqual(new Set([digest]));
  await anybody.labels(at('public/image:1'));
  expect(authority.given).toEqual([' repository:public/image:pull']);
});

test('each repository is read with its own credential', async () => {
  const auth = withEntry(
    withAuths(noCredentials, { [registry.host]: basic('anna:anna-secret') }),
    at('private/otto:1'),
    'otto:otto-secret',
  );
  const both = client(auth);
  expect(await both.digestOf(at('private/anna:1'))).toBe(digest);
  expect(await both.digestOf(at('private/otto:1'))).toBe(digest);
  expect(authority.given).toEqual(['anna repository:private/anna:pull', 'otto repository:private/otto:pull']);
});

test('what a token does not allow, and a password that is wrong', async () => {
  const anna = client(withAuths(noCredentials, { [registry.host]: basic('anna:anna-secret') }));
  await expect(anna.digestOf(at('private/otto:1'))).rejects.toMatchObject({
    code: 'registry_denied',
    message: `The registry ${registry.host} refused the credentials for ${at('private/otto:1')}.`,
  });
  const wrong = client(withAuths(noCredentials, { [registry.host]: basic('anna:not-her-word') }));
  await expect(wrong.digestOf(at('public/image:1'))).rejects.toMatchObject({ code: 'registry_denied' });
  await expect(client(noCredentials).digestOf(at('private/anna:1'))).rejects.toMatchObject({
    message: expect.stringContaining('there are none for it'),
  });
});

test('writing, mounting and removing ask for what they need', async () => {
  const anna = client(withAuths(noCredentials, { [registry.host]: basic('anna:anna-secret') }));
  await anna.uploadBlob(at('one/place'), { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
  expect(await anna.mountBlob(at('other/place'), EMPTY_CONFIG.digest, at('one/place'))).toBe('mounted');
  const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config: EMPTY_CONFIG, layers: [] };
  await anna.putManifest(at('other/place'), 'tag', MEDIA.ociManifest, Buffer.from(JSON.stringify(manifest)));
  await anna.removeTag(at('other/place:tag'));
  expect(await anna.digestOf(at('other/place:tag'))).toBeNull();
  const mount = authority.given.find((line) => line.includes('repository:one/place:pull repository:other'));
  expect(mount ?? authority.given.join('\n')).toMatch(/repository:other\/place:pull,push/);
  expect(authority.given).toContain('anna repository:other/place:delete');
});

test('a refresh token of docker login', async () => {
  const store = withAuths(noCredentials, { [registry.host]: { identitytoken: 'refresh-of-anna' } });
  expect(await client(store).digestOf(at('private/anna:1'))).toBe(digest);
  expect(authority.given).toEqual(['anna repository:private/anna:pull']);
});

test('a token at the end of its life is fetched again; no life is shorter than a minute', async () => {
  authority.life = 1;
  const anybody = client(noCredentials);
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    await anybody.digestOf(at('public/image:1'));
    vi.advanceTimersByTime(40_000);
    await anybody.digestOf(at('public/image:1'));
    expect(authority.given.length).toBe(1);
    vi.advanceTimersByTime(10_000);
    await anybody.digestOf(at('public/image:1'));
    expect(authority.given.length).toBe(2);
  } finally {
    vi.useRealTimers();
  }
});

test('a token the registry no longer takes is fetched again, once', async () => {
  const gate = await startGate(registry.host);
  try {
    const anybody = client(noCredentials, gate.host);
    const spec = `${gate.host}/public/image:1`;
    await anybody.digestOf(spec);
    let refusals = 1;
    const challenge = `Bearer realm="${authority.trust.realm}",service="registry",scope="repository:public/image:pull"`;
    gate.guard = (_, response) => {
      if (refusals-- <= 0) return 'pass';
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return 'answered';
    };
    expect(await anybody.digestOf(spec)).toBe(digest);
    expect(authority.given.length).toBe(2);
    refusals = Number.POSITIVE_INFINITY;
    await expect(anybody.digestOf(spec)).rejects.toMatchObject({ code: 'registry_denied' });
  } finally {
    await gate.close();
  }
});

test('a token service that is down is no refusal', async () => {
  const gate = await startGate(registry.host);
  const away = await startGate(registry.host);
  await away.close();
  gate.guard = (_, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${away.host}/token"` }).end();
    return 'answered';
  };
  try {
    await expect(client(noCredentials, gate.host).ping(gate.host)).rejects.toMatchObject({
      code: 'registry_unavailable',
    });
  } finally {
    await gate.close();
  }
});
