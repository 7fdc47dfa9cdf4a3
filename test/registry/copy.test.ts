import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { describe as chain } from '../../src/errors/failure.ts';
import { type CredentialStore, noCredentials, withAuths, withEntry } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { copyImage } from '../../src/registry/copy.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { gzipLayer, pushed, skopeoDigest, skopeoRaw, skopeoTags, temporaryDirectory } from './fixtures.ts';
import { type Gate, startGate, withoutMounting } from './gate.ts';
import { type RunningAuthority, startTokenAuthority } from './token-authority.ts';

const SOURCE = 'reader:source-secret';
const OWNER = 'owner:owner-secret';
const SERVICE = 'service:service-secret';

let dir: string;
let source: RunningRegistry;
let authority: RunningAuthority;
let target: RunningRegistry;
let list: string;
let auth: CredentialStore;

beforeAll(async () => {
  dir = await temporaryDirectory();
  authority = await startTokenAuthority(dir, { owner: 'owner-secret', service: 'service-secret' });
  source = await startRegistry({
    dir: join(dir, 'source'),
    auth: { users: [{ user: 'reader', password: 'source-secret' }] },
  });
  target = await startRegistry({ dir: join(dir, 'target'), auth: { token: authority.trust } });
  const layers = [await gzipLayer([{ name: 'configs/a', content: 'a' }])];
  const platforms = ['amd64', 'arm64', 'ppc64le', 's390x'].map((architecture) => ({ architecture, layers }));
  list = await pushed(`${source.host}/built/catalog:1`, platforms, { credentials: SOURCE });
  const service = Buffer.from(SERVICE).toString('base64');
  auth = withEntry(
    withAuths(noCredentials, { [target.host]: { auth: service } }),
    `${source.host}/built/catalog@${list}`,
    SOURCE,
  );
});
afterAll(async () => {
  await source?.close();
  await target?.close();
  await authority?.close();
  await rm(dir, { recursive: true, force: true });
});

const insecure = () => [source.host, target.host];
/** What a copy is given besides the two sides; `more` are registries spoken to over plain HTTP. */
const options = (store = auth, more: string[] = []) => {
  const access = { auth: store, insecure: [...insecure(), ...more] };
  return { ...access, registry: createRegistryClient({ ...access, callTimeout: 5_000 }), timeout: 60_000 };
};
const copy = (from: string, to: string, store = auth) => copyImage({ from, to, ...options(store) });
const built = () => `${source.host}/built/catalog@${list}`;

test('all platforms, from registry to registry, digests kept', async () => {
  const to = `${target.host}/service/iib-build:17`;
  expect(await copy(built(), to)).toBe(list);
  expect(await skopeoDigest(to, SERVICE)).toBe(list);
  const { manifests } = JSON.parse(await skopeoRaw(to, SERVICE));
  expect(manifests.length).toBe(4);
  for (const { digest } of manifests) {
    expect(await skopeoDigest(`${target.host}/service/iib-build@${digest}`, SERVICE)).toBe(digest);
  }
  expect(await copy(built(), to)).toBe(list);
});

test('to a repository of another owner without a tag, which is pointed at it later', async () => {
  const index = `${target.host}/private/owner:v4.19`;
  const both = withEntry(auth, index, OWNER);
  await expect(copy(built(), `${target.host}/private/owner@${list}`)).rejects.toMatchObject({
    code: 'registry_denied',
  });
  expect(await copy(built(), `${target.host}/private/owner@${list}`, both)).toBe(list);
  expect(await skopeoTags(`${target.host}/private/owner`, OWNER).catch(() => [])).toEqual([]);

  const client = createRegistryClient({ auth: both, insecure: insecure(), callTimeout: 5_000 });
  expect(await client.digestOf(index)).toBeNull();
  await client.point(index, list);
  expect(await skopeoDigest(index, OWNER)).toBe(list);
  expect(await skopeoTags(`${target.host}/private/owner`, OWNER)).toEqual(['v4.19']);
});

test('within a registry, from one owner’s repository to another’s', async () => {
  const from = `${target.host}/service/iib-build@${list}`;
  const index = `${target.host}/private/owner/below@${list}`;
  await copy(built(), `${target.host}/service/iib-build:18`);
  await expect(copy(from, `${target.host}/private/owner@${list}`, withEntry(auth, index, OWNER))).rejects.toMatchObject(
    {
      code: 'registry_denied',
    },
  );
  const to = `${target.host}/private/owner@${list}`;
  expect(await copy(from, to, withEntry(auth, to, OWNER))).toBe(list);
});

describe('within a registry', () => {
  const readerAt = (host: string) =>
    withAuths(noCredentials, { [host]: { auth: Buffer.from(SOURCE).toString('base64') } });

  /** Copies within the source registry, through a gate; gives the calls by which blobs were moved. */
  async function moves(name: string, guard: Gate['guard'] = () => 'pass'): Promise<string[]> {
    const gate = await startGate(source.host);
    gate.guard = guard;
    try {
      const [from, to] = [`${gate.host}/built/catalog@${list}`, `${gate.host}/${name}`];
      expect(await copyImage({ from, to, ...options(readerAt(gate.host), [gate.host]) })).toBe(list);
      const { manifests } = JSON.parse(await skopeoRaw(`${source.host}/${name}`, SOURCE));
      for (const { digest } of manifests) {
        expect(await skopeoDigest(`${source.host}/${name.split(':')[0]}@${digest}`, SOURCE)).toBe(digest);
      }
      expect(await skopeoDigest(`${source.host}/${name}`, SOURCE)).toBe(list);
      return gate.calls.filter((call) => /^(GET|PATCH|PUT|DELETE) .*\/blobs\//.test(call));
    } finally {
      await gate.close();
    }
  }

  test('no blob is moved', async () => {
    expect(await moves('mounted/catalog:1')).toEqual([]);
  });

  test('a registry that does not mount is asked once; then skopeo copies', async () => {
    const calls = await moves('moved/catalog:1', withoutMounting);
    expect(calls.filter((call) => call.startsWith('DELETE '))).toHaveLength(1);
    expect(calls.filter((call) => call.startsWith('PUT '))).toHaveLength(5);
  });

  test('nor does one that refuses to mount hinder skopeo', async () => {
    const calls = await moves('refused/catalog:1', (incoming, response) => {
      if (!incoming.url?.includes('mount=')) return 'pass';
      response.writeHead(403).end('{}');
      return 'answered';
    });
    expect(calls.filter((call) => call.startsWith('PUT '))).toHaveLength(5);
  });

  /** A machine whose user has such a signature policy; null for one that cannot be read. */
  async function withPolicy(text: string | null): Promise<void> {
    const home = await mkdtemp(join(dir, 'home-'));
    const policy = join(home, '.config/containers/policy.json');
    await mkdir(text === null ? policy : join(policy, '..'), { recursive: true });
    if (text !== null) await writeFile(policy, text);
    vi.stubEnv('HOME', home);
    onTestFinished(() => void vi.unstubAllEnvs());
  }
  const accepting = [{ type: 'insecureAcceptAnything' }];

  test('a policy that lets everything in does not hinder mounting', async () => {
    const transports = { 'docker-daemon': { '': accepting } };
    await withPolicy(JSON.stringify({ default: accepting, transports }));
    expect(await moves('open/catalog:1')).toEqual([]);
  });

  test.for([
    ['asks for more', JSON.stringify({ default: [{ type: 'reject' }] })],
    [
      'asks for more of some registries',
      JSON.stringify({ default: accepting, transports: { docker: { '': [{ type: 'reject' }] } } }),
    ],
    ['is no policy', '{"default": '],
    ['cannot be read', null],
  ] as const)('nothing is copied past a policy that %s', async ([, text]) => {
    await withPolicy(text);
    const to = `${source.host}/barred/catalog:1`;
    await expect(copy(built(), to, readerAt(source.host))).rejects.toMatchObject({ code: 'copy_failed' });
    expect(await skopeoTags(`${source.host}/barred/catalog`, SOURCE).catch(() => [])).toEqual([]);
  });
});

test('what is refused before anything is done', async () => {
  await expect(copy(`${source.host}/built/catalog:1`, `${target.host}/a/b:c`)).rejects.toMatchObject({
    code: 'pull_spec_invalid',
  });
  await expect(copy(built(), `${target.host}/a/b@sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
    code: 'pull_spec_invalid',
  });
});

test('failures say what was copied where, and no secret', async () => {
  const absent = `${source.host}/built/catalog@sha256:${'0'.repeat(64)}`;
  const to = `${target.host}/service/x:y`;
  await expect(copy(absent, to)).rejects.toMatchObject({
    code: 'image_not_found',
    message: `Failed to copy ${absent} to ${to}: it does not exist`,
  });
  const wrong = withEntry(auth, built(), 'reader:not-the-word');
  const denied = await copy(built(), to, wrong).catch((thrown: unknown) => thrown);
  expect(denied).toMatchObject({
    code: 'registry_denied',
    message: `Failed to copy ${built()} to ${to}: a registry refused the credentials`,
  });
  expect(chain(denied)).not.toMatch(/secret|not-the-word/);
  const gone = await startRegistry({ dir: join(dir, 'gone') });
  await gone.close();
  const nowhere = `${gone.host}/denied/unauthorized:c`;
  await expect(copyImage({ from: built(), to: nowhere, ...options(auth, [gone.host]) })).rejects.toMatchObject({
    code: 'registry_unavailable',
    message: `Failed to copy ${built()} to ${nowhere}: a registry cannot be reached`,
  });
});

test('a copy that is given up', async () => {
  const stop = new AbortController();
  const to = `${target.host}/service/aborted:1`;
  const copying = copyImage({ from: built(), to, ...options(), signal: stop.signal });
  stop.abort(new Error('cancelled'));
  await expect(copying).rejects.toThrow('cancelled');
});
