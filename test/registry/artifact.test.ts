import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Artifacts, artifactClashes, artifactTagFor, createArtifacts } from '../../src/registry/artifact.ts';
import { noCredentials, withAuths } from '../../src/registry/auth.ts';
import { copyOut } from '../../src/registry/blob-store.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from '../../src/registry/manifest.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { skopeo, skopeoDigest, skopeoRaw, temporaryDirectory } from './fixtures.ts';
import { type Gate, startGate } from './gate.ts';

const CREDS = 'iib:iib-secret';
const NAMING = {
  artifactRegistry: 'art.io/ns',
  artifactTemplate: '{registry}/index-db:{tag}',
  artifactTagTemplate: '{image_name}-{tag}',
  emptyTag: 'empty',
};

let dir: string;
let registry: RunningRegistry;
let gate: Gate;
let client: RegistryClient;
let artifacts: Artifacts;
let cacheDir: string;
let file: string;
let round = 0;

beforeAll(async () => {
  dir = await temporaryDirectory();
  registry = await startRegistry({
    dir: join(dir, 'registry'),
    auth: { users: [{ user: 'iib', password: 'iib-secret' }] },
  });
  gate = await startGate(registry.host);
  file = join(dir, 'built.db');
  const database = new DatabaseSync(file);
  database.exec('create table package (name text)');
  database.prepare('insert into package values (?)').run(randomBytes(100_000).toString('hex'));
  database.close();
});
beforeEach(() => {
  round += 1;
  cacheDir = join(dir, `cache-${round}`);
  artifacts = createArtifacts({ cacheDir });
  gate.guard = () => 'pass';
  gate.calls.length = 0;
  const auth = withAuths(noCredentials, { [gate.host]: { auth: Buffer.from(CREDS).toString('base64') } });
  client = createRegistryClient({ auth, insecure: [gate.host], callTimeout: 5_000 });
});
afterAll(async () => {
  await gate?.close();
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

const at = (path: string) => `${gate.host}/${path}`;
const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('names', () => {
  test('of the shared, the empty and a request’s artifact', () => {
    expect(artifactTagFor(NAMING, 'reg/ns/iib-pub:v4.19'.replace('reg', 'reg.io'))).toBe(
      'art.io/ns/index-db:iib-pub-v4.19',
    );
    expect(artifactTagFor(NAMING, 'reg.io:5000/iib-pub:v4.19', 'empty')).toBe('art.io/ns/index-db:iib-pub-empty');
    expect(artifactTagFor(NAMING, 'reg.io/ns/iib-pub:v4.19', { requestId: 7 })).toBe(
      'art.io/ns/index-db:iib-pub-v4.19-7',
    );
    const byDigest = `reg.io/ns/iib-pub:v4.19@sha256:${'a'.repeat(64)}`;
    expect(artifactTagFor(NAMING, byDigest)).toBe('art.io/ns/index-db:iib-pub-v4.19');
  });

  test.each([
    ['reg.io/ns/iib-pub', 'index_tag_missing', "Missing tag (':') delimiter."],
    [
      `reg.io/ns/x@sha256:${'a'.repeat(64)}`,
      'index_tag_missing',
      'An index given by digest alone has no tag to name its database by.',
    ],
    ['reg.io:5000/ns/x', 'pull_spec_invalid', 'Could not parse name:tag structure.'],
    ['reg.io/ns/:v1', 'pull_spec_invalid', 'Could not parse name:tag structure.'],
    ['reg.io/ns/x:', 'pull_spec_invalid', 'Tag is present but empty.'],
  ])('%s has none', (spec, code, reason) => {
    expect(() => artifactTagFor(NAMING, spec)).toThrow(
      expect.objectContaining({ code, message: `Invalid pullspec format: '${spec}'. ${reason}` }),
    );
  });

  test('that two indexes share are found, and a namespace in the template parts them', () => {
    const indexes = ['a.io/one/iib', 'a.io/two/iib', 'a.io/two/other', 'a.io/two/iib'];
    expect(artifactClashes(NAMING, indexes)).toEqual([['a.io/one/iib', 'a.io/two/iib']]);
    const parted = { ...NAMING, artifactTagTemplate: '{namespace}-{image_name}-{tag}' };
    expect(artifactClashes(parted, indexes)).toEqual([]);
    expect(() => artifactTagFor({ ...NAMING, artifactTemplate: '{registri}/x' }, 'a.io/b/c:d')).toThrow(
      expect.objectContaining({ code: 'configuration_invalid' }),
    );
  });
});

describe('push', () => {
  const annotations = { request_id: '7', request_type: 'add', operators: '' };

  test('makes an artifact that others read', async () => {
    const digest = await artifacts.push(client, at('index-db:one'), { file, annotations });
    expect(await skopeoDigest(at('index-db:one'), CREDS)).toBe(digest);
    const bytes = await readFile(file);
    expect(JSON.parse(await skopeoRaw(at('index-db:one'), CREDS))).toEqual({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      artifactType: 'application/vnd.sqlite',
      config: EMPTY_CONFIG,
      layers: [
        {
          mediaType: 'application/vnd.sqlite',
          digest: sha256(bytes),
          size: bytes.length,
          annotations: { 'org.opencontainers.image.title': 'index.db' },
        },
      ],
      annotations: { request_id: '7', request_type: 'add' },
    });
    const out = join(dir, 'skopeo-dir');
    await skopeo(
      'copy',
      '--src-tls-verify=false',
      '--src-creds',
      CREDS,
      `docker://${at('index-db:one')}`,
      `dir:${out}`,
    );
    expect((await readFile(join(out, sha256(bytes).slice(7)))).equals(bytes)).toBe(true);
  });

  test('again, the same digest; the database is sent once', async () => {
    const first = await artifacts.push(client, at('index-db:two'), { file, annotations });
    gate.calls.length = 0;
    expect(await artifacts.push(client, at('index-db:two'), { file, annotations })).toBe(first);
    const other = { file, annotations: { ...annotations, operators: 'etcd' } };
    expect(await artifacts.push(client, at('index-db:two'), other)).not.toBe(first);
    expect(gate.calls.filter((call) => call.startsWith('POST'))).toEqual([]);
  });

  test('refused, says where to, once', async () => {
    const nobody = createRegistryClient({ auth: noCredentials, insecure: [gate.host], callTimeout: 5_000 });
    await expect(artifacts.push(nobody, at('index-db:x'), { file, annotations })).rejects.toMatchObject({
      code: 'registry_denied',
      message: expect.stringMatching(
        /^Failed to push OCI artifact to \S+index-db:x: The registry \S+ wants credentials/,
      ),
    });
  });
});

describe('pull', () => {
  const annotations = { request_id: '1', request_type: 'add' };

  test('gives the database, from the registry once', async () => {
    const digest = await artifacts.push(client, at('index-db:pull'), { file, annotations });
    const pulled = await artifacts.pull(client, at('index-db:pull'));
    expect(pulled.digest).toBe(digest);
    expect((await readFile(pulled.path)).equals(await readFile(file))).toBe(true);
    gate.calls.length = 0;
    expect(await artifacts.pull(client, at('index-db:pull'))).toEqual(pulled);
    expect(gate.calls).toEqual(['GET /v2/index-db/manifests/pull']);
    expect(await readdir(cacheDir)).toHaveLength(1);
  });

  test('by several at once is one download; their copies are their own', async () => {
    await artifacts.push(client, at('index-db:many'), { file, annotations });
    gate.calls.length = 0;
    const pulls = await Promise.all(Array.from({ length: 5 }, () => artifacts.pull(client, at('index-db:many'))));
    expect(gate.calls.filter((call) => call.startsWith('GET /v2/index-db/blobs'))).toHaveLength(1);
    const { path } = pulls[0] ?? { path: '' };
    const copy = join(dir, 'copy.db');
    await copyOut(path, copy);
    await writeFile(copy, 'changed');
    expect((await readFile(path)).equals(await readFile(file))).toBe(true);
  });

  test('a cached file that was cut is fetched again', async () => {
    await artifacts.push(client, at('index-db:cut'), { file, annotations });
    const { path } = await artifacts.pull(client, at('index-db:cut'));
    await writeFile(path, 'cut');
    await artifacts.pull(client, at('index-db:cut'));
    expect((await readFile(path)).equals(await readFile(file))).toBe(true);
  });

  test('a download that fails leaves nothing, and its error is not that of others', async () => {
    await artifacts.push(client, at('index-db:broken'), { file, annotations });
    let downloads = 0;
    gate.guard = ({ method, url }, response) => {
      if (method !== 'GET' || !url?.includes('/blobs/') || ++downloads > 1) return 'pass';
      response.writeHead(200);
      response.write('half', () => response.destroy());
      return 'answered';
    };
    const [first, second] = await Promise.allSettled([1, 2].map(() => artifacts.pull(client, at('index-db:broken'))));
    expect([first?.status, second?.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await readdir(cacheDir)).toHaveLength(1);
    downloads = 0;
    await rm(cacheDir, { recursive: true });
    await expect(artifacts.pull(client, at('index-db:broken'))).rejects.toMatchObject({ code: 'registry_unavailable' });
    expect(await readdir(cacheDir)).toEqual([]);
  });

  test('wrong content is refused', async () => {
    await artifacts.push(client, at('index-db:forged'), { file, annotations });
    gate.guard = ({ method, url }, response) => {
      if (method !== 'GET' || !url?.includes('/blobs/')) return 'pass';
      response.end('something else');
      return 'answered';
    };
    await expect(artifacts.pull(client, at('index-db:forged'))).rejects.toMatchObject({
      code: 'image_unreadable',
      message: expect.stringMatching(/^Failed to pull OCI artifact \S+: The blob \S+ is not what its digest says$/),
    });
  });

  test('what is absent', async () => {
    const ref = at('index-db:absent');
    await expect(artifacts.pull(client, ref)).rejects.toMatchObject({
      code: 'image_not_found',
      message: `Failed to pull OCI artifact ${ref}: it does not exist`,
    });
    await client.uploadBlob(at('index-db'), { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
    const empty = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config: EMPTY_CONFIG, layers: [] };
    await client.putManifest(at('index-db'), 'bare', MEDIA.ociManifest, Buffer.from(JSON.stringify(empty)));
    await expect(artifacts.pull(client, at('index-db:bare'))).rejects.toMatchObject({
      code: 'index_db_invalid',
      message: `Index.db file not found at ${at('index-db:bare')}`,
    });
  });

  test('the older form, as other tools push it', async () => {
    const bytes = Buffer.from('an older database');
    const config = { mediaType: 'application/vnd.sqlite', digest: EMPTY_CONFIG.digest, size: 2 };
    const title = { 'org.opencontainers.image.title': './index.db' };
    const layer = {
      mediaType: 'application/octet-stream',
      digest: sha256(bytes),
      size: bytes.length,
      annotations: title,
    };
    const layout = join(dir, 'older');
    const blobs = join(layout, 'blobs/sha256');
    await mkdir(blobs, { recursive: true });
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [layer] }));
    for (const blob of [bytes, EMPTY_CONFIG_BYTES, manifest]) await writeFile(join(blobs, sha256(blob).slice(7)), blob);
    const descriptor = { mediaType: MEDIA.ociManifest, digest: sha256(manifest), size: manifest.length };
    await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }));
    await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    await skopeo(
      'copy',
      '--dest-tls-verify=false',
      '--dest-creds',
      CREDS,
      `oci:${layout}`,
      `docker://${at('index-db:older')}`,
    );
    const pulled = await artifacts.pull(client, at('index-db:older'));
    expect(await readFile(pulled.path)).toEqual(bytes);
  });

  test('the cache stays below its limit; what was used just now stays', async () => {
    const small = createArtifacts({ cacheDir, cacheLimit: 1 });
    const paths = [];
    for (const name of ['a', 'b', 'c']) {
      const path = join(dir, name);
      await writeFile(path, `database ${name}`);
      await small.push(client, at(`index-db:${name}`), { file: path, annotations });
      paths.push((await small.pull(client, at(`index-db:${name}`))).path);
    }
    expect(await readdir(cacheDir)).toHaveLength(3);
    const hourAgo = new Date(Date.now() - 3600_000);
    const [a = '', b = ''] = paths;
    await Promise.all([a, b].map((path) => utimes(path, hourAgo, hourAgo)));
    await small.pull(client, at('index-db:b'));
    await writeFile(join(dir, 'd'), 'database d');
    await small.push(client, at('index-db:d'), { file: join(dir, 'd'), annotations });
    await small.pull(client, at('index-db:d'));
    await expect(stat(a)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readdir(cacheDir)).toHaveLength(3);
  });
});

test('a database of many megabytes is streamed', async () => {
  const large = join(dir, 'large.db');
  await promisify(execFile)('truncate', ['--size=200M', large]);
  const before = process.memoryUsage().rss;
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  await artifacts.push(client, at('index-db:large'), { file: large, annotations: {} });
  const { path } = await artifacts.pull(client, at('index-db:large'));
  clearInterval(watch);
  expect((await stat(path)).size).toBe(200 * 1024 * 1024);
  expect(peak - before).toBeLessThan(150 * 1024 * 1024);
});
