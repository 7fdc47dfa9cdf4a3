import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describe as chain } from '../../src/errors/failure.ts';
import {
  credentialFor,
  noCredentials,
  openAuthDirectory,
  readAuthFile,
  withAuths,
  withEntry,
} from '../../src/registry/auth.ts';
import { mask } from '../../src/telemetry/secrets.ts';

const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
const password = (user: string, word: string) => ({ kind: 'password', user, password: word });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-auth-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('the longest path wins, then the registry', () => {
  const store = withAuths(noCredentials, {
    'quay.io': auth('host:secret-h'),
    'quay.io/ns': auth('ns:secret-n'),
    'quay.io/ns/repo': auth('repo:secret-r'),
  });
  expect(credentialFor(store, 'quay.io', 'ns/repo')).toEqual(password('repo', 'secret-r'));
  expect(credentialFor(store, 'quay.io', 'ns/repo/below')).toEqual(password('repo', 'secret-r'));
  expect(credentialFor(store, 'quay.io', 'ns/repository')).toEqual(password('ns', 'secret-n'));
  expect(credentialFor(store, 'quay.io', 'other/repo')).toEqual(password('host', 'secret-h'));
  expect(credentialFor(store, 'other.io', 'ns/repo')).toBeUndefined();
});

test.each([
  ['reg.io/ns/repo:tag', 'reg.io/ns/repo'],
  [`reg.io/ns/repo@sha256:${'a'.repeat(64)}`, 'reg.io/ns/repo'],
  ['reg.io/ns/a/b:tag', 'reg.io/ns/a/b'],
  ['reg.io:8443/ns/repo', 'reg.io:8443/ns/repo'],
  ['localhost:5000/image:tag', 'localhost:5000'],
  ['host.io/image', 'host.io'],
])('a token for %s is scoped to %s', (spec, key) => {
  const before = withAuths(noCredentials, { 'reg.io': auth('broad:broad-secret') });
  const after = withEntry(before, spec, 'user:pass:word');
  expect([...after.keys()]).toEqual(['reg.io', key]);
  expect(after.get(key)).toEqual(password('user', 'pass:word'));
  expect([...before.keys()]).toEqual(['reg.io']);
});

test.each(['repo', 'ns/repo:tag', 'host:5000', ''])('a token for %j has no scope', (spec) => {
  expect(() => withEntry(noCredentials, spec, 'u:p')).toThrow(
    `Unable to determine the registry from the pull specification '${spec}' for Docker authentication`,
  );
});

test('no token, no change; a token without colon is refused and not shown', () => {
  expect(withEntry(noCredentials, 'r.io/a/b:c', undefined)).toBe(noCredentials);
  expect(withEntry(noCredentials, 'no registry', '')).toBe(noCredentials);
  expect(() => withEntry(noCredentials, 'r.io/a/b:c', 'only-a-word')).toThrow(/^A registry token must have the form/);
});

test('docker configs in all their shapes', async () => {
  const path = join(dir, 'config.json');
  const auths = {
    'https://index.docker.io/v1/': auth('hub:hub-secret'),
    'https://quay.io': { username: 'plain', password: 'plain-secret' },
    'acr.io': { ...auth('<token>:'), identitytoken: 'refresh-me' },
    'empty.io': {},
  };
  await writeFile(path, JSON.stringify({ auths, credsStore: 'desktop' }));
  const store = await readAuthFile(path);
  expect([...store]).toEqual([
    ['docker.io', password('hub', 'hub-secret')],
    ['quay.io', password('plain', 'plain-secret')],
    ['acr.io', { kind: 'identity', token: 'refresh-me' }],
  ]);
  expect(mask(`hub-secret plain-secret refresh-me ${auth('hub:hub-secret').auth}`)).toBe('***** ***** ***** *****');
});

test('an unreadable file is ours to mend, and its content is told nobody', async () => {
  const path = join(dir, 'broken.json');
  await writeFile(path, '{"auths": {"a": "very-secret"');
  const failure = await readAuthFile(path).catch((thrown: unknown) => thrown);
  expect(failure).toMatchObject({ code: 'configuration_invalid' });
  expect(chain(failure)).not.toContain('very-secret');
  await expect(readAuthFile(join(dir, 'absent.json'))).rejects.toMatchObject({ code: 'configuration_invalid' });
});

test('auths of a request lie over the service’s', () => {
  const store = withAuths(noCredentials, { 'a.io': auth('a:old-secret'), 'b.io': auth('b:b-secret') });
  const merged = withAuths(store, { 'a.io': auth('a:new-secret') });
  expect(merged.get('a.io')).toEqual(password('a', 'new-secret'));
  expect(merged.get('b.io')).toEqual(password('b', 'b-secret'));
  expect(withAuths(store, undefined)).toEqual(store);
  expect(() => withAuths(store, { 'a.io': 'text' })).toThrow(expect.objectContaining({ code: 'request_invalid' }));
});

test('children get a private directory that reads back the same', async () => {
  const store = withEntry(
    withAuths(noCredentials, { 'acr.io': { identitytoken: 'refresh-me' } }),
    'quay.io/ns/repo:x',
    'user:secret-word',
  );
  const { env, remove } = await openAuthDirectory(store);
  const target = env.DOCKER_CONFIG;
  expect(env).toEqual({ DOCKER_CONFIG: target, REGISTRY_AUTH_FILE: join(target, 'config.json') });
  expect((await stat(target)).mode & 0o777).toBe(0o700);
  expect((await stat(join(target, 'config.json'))).mode & 0o777).toBe(0o600);
  expect(await readAuthFile(join(target, 'config.json'))).toEqual(store);
  expect(await readFile(join(target, 'config.json'), 'utf8')).not.toContain('secret-word');
  await remove();
  await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('null and "" are not set, as Go programs write them', () => {
  const nothing = withAuths(noCredentials, null);
  expect(nothing).toEqual(noCredentials);
  const entries = {
    'a.example.com': null,
    'b.example.com': { auth: null, identitytoken: '', username: null, password: null, email: null },
    'c.example.com': { auth: '', username: 'user', password: 'some-password' },
    'd.example.com': { auth: Buffer.from('user:some-password').toString('base64'), identitytoken: null },
  };
  expect([...withAuths(noCredentials, entries).keys()]).toEqual(['c.example.com', 'd.example.com']);
});

test('a docker config whose auths are null has none', async () => {
  const path = join(dir, 'null.json');
  await writeFile(path, '{"auths":null,"credHelpers":null}');
  expect(await readAuthFile(path)).toEqual(noCredentials);
});
