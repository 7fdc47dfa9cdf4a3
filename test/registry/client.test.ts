import { createHash, randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Failure } from '../../src/errors/failure.ts';
import { patient } from '../../src/errors/retry.ts';
import { noCredentials, withAuths } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { digestOfBytes, identifyFile } from '../../src/registry/digest.ts';
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from '../../src/registry/manifest.ts';
import { withDigest } from '../../src/registry/pull-spec.ts';
import { restoreTag } from '../../src/registry/restore.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { gzipLayer, pushed, skopeoDigest, skopeoRaw, skopeoTags, temporaryDirectory } from './fixtures.ts';
import { type Gate, startGate } from './gate.ts';

const USER = { user: 'builder', password: 'open-sesame' };
const CREDS = `${USER.user}:${USER.password}`;
const ABSENT = `sha256:${'0'.repeat(64)}`;

let dir: string;
let registry: RunningRegistry;
let client: RegistryClient;
let image: string;
let list: string;

const authFor = (host: string, credentials = CREDS) =>
  withAuths(noCredentials, { [host]: { auth: Buffer.from(credentials).toString('base64') } });
const clientOf = (host: string, auth = authFor(host)) =>
  createRegistryClient({ auth, insecure: [host], callTimeout: 5_000 });
const at = (path: string) => `${registry.host}/${path}`;

beforeAll(async () => {
  dir = await temporaryDirectory();
  registry = await startRegistry({ dir: join(dir, 'registry'), auth: { users: [USER] } });
  client = clientOf(registry.host);
  const layer = await gzipLayer([{ name: 'manifests/a.yaml', content: 'a: 1\n' }]);
  const platform = (architecture: string) => ({ architecture, layers: [layer], labels: { arch: architecture } });
  image = await pushed(at('ns/image:one'), [platform('s390x')], { credentials: CREDS });
  list = await pushed(at('ns/list:all'), [platform('arm64'), platform('amd64')], { credentials: CREDS });
});
afterAll(async () => {
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

describe('reading', () => {
  test('digests, present and absent', async () => {
    expect(await client.digestOf(at('ns/image:one'))).toBe(image);
    expect(await client.digestOf(at(`ns/image@${image}`))).toBe(image);
    expect(await client.digestOf(at('ns/image:two'))).toBeNull();
    expect(await client.digestOf(at('ns/nothing:one'))).toBeNull();
    expect(await client.resolve(at('ns/list:all'))).toBe(at(`ns/list@${list}`));
    await expect(client.resolve(at('ns/image:two'))).rejects.toMatchObject({
      code: 'image_not_found',
      message: `Failed to inspect docker://${at('ns/image:two')}. Make sure it exists and is accessible to IIB.`,
    });
  });

  test('manifests, byte for byte', async () => {
    const manifest = await client.manifest(at('ns/list:all'));
    expect(manifest.bytes.toString()).toBe(await skopeoRaw(at('ns/list:all'), CREDS));
    expect(manifest).toMatchObject({ digest: list, mediaType: MEDIA.ociIndex, document: { kind: 'list' } });
  });

  test('a bundle is one image, of a list the first', async () => {
    const { document } = await client.manifest(at('ns/list:all'));
    const first = document.kind === 'list' ? document.manifests[0]?.digest : undefined;
    expect(await client.resolveBundle(at('ns/image:one'))).toBe(at(`ns/image@${image}`));
    expect(await client.resolveBundle(at('ns/list:all'))).toBe(at(`ns/list@${first}`));
  });

  test('arches and labels', async () => {
    expect(await client.arches(at('ns/list:all'))).toEqual(['arm64', 'amd64']);
    expect(await client.arches(at('ns/image:one'))).toEqual(['s390x']);
    expect(await client.labels(at('ns/list:all'))).toEqual({ arch: 'amd64' });
    expect(await client.labels(at('ns/image:one'))).toEqual({ arch: 's390x' });
  });

  test('labels that are null are none', async () => {
    await pushed(at('ns/bare:one'), [{ architecture: 'amd64', layers: [], labels: null }], { credentials: CREDS });
    expect(await client.labels(at('ns/bare:one'))).toEqual({});
  });

  test('a digest is read once, a tag each time', async () => {
    const gate = await startGate(registry.host);
    try {
      const counted = clientOf(gate.host);
      const spec = `${gate.host}/ns/image@${image}`;
      await Promise.all([counted.labels(spec), counted.ping(gate.host)]);
      const before = gate.calls.length;
      await counted.labels(spec);
      await counted.arches(spec);
      await counted.resolveBundle(spec);
      expect(gate.calls.length).toBe(before);
      await counted.digestOf(`${gate.host}/ns/image:one`);
      await counted.digestOf(`${gate.host}/ns/image:one`);
      expect(gate.calls.length).toBe(before + 2);
    } finally {
      await gate.close();
    }
  });
});

describe('writing', () => {
  test('a blob from a file arrives whole and is sent once', async () => {
    const path = join(dir, 'blob');
    await writeFile(path, randomBytes(3_000_000));
    const id = await identifyFile(path);
    await client.uploadBlob(at('ns/blobs'), { ...id, path });
    await client.uploadBlob(at('ns/blobs'), { ...id, path: '/not/read/again' });
    const back = await buffer(await client.blob(at('ns/blobs'), id));
    expect(`sha256:${createHash('sha256').update(back).digest('hex')}`).toBe(id.digest);
  });

  test('a manifest waits for a blob that the registry does not know yet', async () => {
    const bytes = randomBytes(100);
    const layer = {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOfBytes(bytes),
      size: bytes.length,
    };
    const document = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config: EMPTY_CONFIG, layers: [layer] };
    await client.uploadBlob(at('ns/late'), { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
    const seen: Failure[] = [];
    const waiting = patient(
      client,
      { total: 30_000, first: 200, longest: 200 },
      new AbortController().signal,
      (failure) => {
        if (seen.push(failure) === 1) void client.uploadBlob(at('ns/late'), { ...layer, bytes });
      },
    );
    await waiting.putManifest(at('ns/late'), 'tag', MEDIA.ociManifest, Buffer.from(JSON.stringify(document)));
    expect(seen[0]).toMatchObject({
      code: 'registry_unavailable',
      message: expect.stringMatching(/refused to write .*ns\/late:tag \(MANIFEST_BLOB_UNKNOWN\)/),
    });
  });

  test('content that is not what its digest says is refused both ways', async () => {
    const bytes = Buffer.from('something else');
    await expect(
      client.uploadBlob(at('ns/blobs'), { digest: ABSENT, size: bytes.length, bytes }),
    ).rejects.toMatchObject({ code: 'registry_refused', message: expect.stringContaining('DIGEST_INVALID') });
    const { config } = JSON.parse(await skopeoRaw(at('ns/image:one'), CREDS));
    const stream = await client.blob(at('ns/image'), { digest: config.digest, size: config.size - 1 });
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'image_unreadable' });
    await expect(client.blob(at('ns/image'), { digest: ABSENT })).rejects.toMatchObject({ code: 'image_unreadable' });
  });

  test('mounting takes a blob over', async () => {
    const { config } = JSON.parse(await skopeoRaw(at('ns/image:one'), CREDS));
    expect(await client.mountBlob(at('other/place'), config.digest, at('ns/image'))).toBe('mounted');
    expect(await client.hasBlob(at('other/place'), config.digest)).toBe(true);
    expect(await client.mountBlob(at('other/place'), ABSENT, at('ns/image'))).toBe('not mounted');
  });

  test('pointing a tag is one PUT and moves nothing else', async () => {
    await client.point(at('ns/list:flipped'), list);
    expect(await skopeoDigest(at('ns/list:flipped'), CREDS)).toBe(list);
    await expect(client.point(at('ns/list:flipped'), ABSENT)).rejects.toMatchObject({ code: 'image_not_found' });
    expect(await client.digestOf(at('ns/list:flipped'))).toBe(list);
  });
});

describe('restoring a tag', () => {
  const tag = () => at('ns/image:moved');

  test('to what it was, or to nothing', async () => {
    const other = await pushed(at('ns/image:other'), [{ architecture: 'arm64', layers: [] }], { credentials: CREDS });
    for (const old of [other, null]) {
      await client.point(tag(), image);
      await restoreTag(client, tag(), { ours: image, old });
      await restoreTag(client, tag(), { ours: image, old });
      expect(await client.digestOf(tag())).toBe(old);
    }
    await client.point(tag(), other);
    await restoreTag(client, tag(), { ours: image, old: null });
    expect(await client.digestOf(tag())).toBe(other);
    await client.removeTag(at('ns/image:other'));
    await client.removeTag(tag());
  });
});

describe('removing a tag', () => {
  test('leaves the other tags of its digest', async () => {
    await client.point(at('ns/image:keep'), image);
    await client.point(at('ns/image:drop'), image);
    await client.removeTag(at('ns/image:drop'));
    expect(await skopeoTags(at('ns/image'), CREDS)).toEqual(['keep', 'one']);
    expect(await skopeoDigest(at('ns/image:keep'), CREDS)).toBe(image);
    expect(await client.digestOf(at('ns/image:drop'))).toBeNull();
  });

  test('is fine when the tag is absent, and the tag can come and go again', async () => {
    await client.removeTag(at('ns/image:never'));
    await client.removeTag(at('ns/nothing:never'));
    for (let round = 0; round < 2; round += 1) {
      await client.point(at('ns/image:again'), image);
      expect(await client.digestOf(at('ns/image:again'))).toBe(image);
      await client.removeTag(at('ns/image:again'));
      expect(await client.digestOf(at('ns/image:again'))).toBeNull();
    }
  });

  test('interrupted half way is as good as done, and can be finished', async () => {
    const gate = await startGate(registry.host);
    try {
      const interrupted = clientOf(gate.host);
      const spec = `${gate.host}/ns/image:half`;
      await interrupted.point(spec, image);
      let deletes = 0;
      gate.guard = ({ method }, response) => {
        if (method !== 'DELETE' || ++deletes < 3) return 'pass';
        response.destroy();
        return 'answered';
      };
      await expect(interrupted.removeTag(spec)).rejects.toMatchObject({ code: 'registry_unavailable' });
      expect(await skopeoTags(at('ns/image'), CREDS)).toContain('half');
      expect(await interrupted.digestOf(spec)).toBeNull();
      await expect(interrupted.manifest(spec)).rejects.toMatchObject({ code: 'image_not_found' });
      gate.guard = () => 'pass';
      await interrupted.removeTag(spec);
      expect(await skopeoTags(at('ns/image'), CREDS)).not.toContain('half');
    } finally {
      await gate.close();
    }
  });

  test('says so where deletes are off, and touches nothing', async () => {
    const strict = await startRegistry({ dir: join(dir, 'strict'), deletes: 'disabled' });
    try {
      const anonymous = clientOf(strict.host, noCredentials);
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config: EMPTY_CONFIG, layers: [] }),
      );
      await anonymous.uploadBlob(`${strict.host}/a/b`, { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
      await anonymous.putManifest(`${strict.host}/a/b`, 'tag', MEDIA.ociManifest, bytes);
      await expect(anonymous.removeTag(`${strict.host}/a/b:tag`)).rejects.toMatchObject({
        code: 'registry_refused',
        message: expect.stringMatching(/refused to delete .*UNSUPPORTED/),
      });
      expect(await anonymous.digestOf(`${strict.host}/a/b:tag`)).toBe(digestOfBytes(bytes));
    } finally {
      await strict.close();
    }
  });
});

describe('troubles', () => {
  let gate: Gate;
  beforeAll(async () => {
    gate = await startGate(registry.host);
  });
  afterAll(() => gate.close());

  test('wrong and missing credentials, by name and without secrets', async () => {
    const spec = at('ns/image:one');
    await expect(clientOf(registry.host, authFor(registry.host, 'builder:wrong-word')).resolve(spec)).rejects.toEqual(
      expect.objectContaining({
        code: 'registry_denied',
        message: `The registry ${registry.host} refused the credentials for ${spec}.`,
      }),
    );
    await expect(clientOf(registry.host, noCredentials).resolve(spec)).rejects.toMatchObject({
      code: 'registry_denied',
      message: `The registry ${registry.host} wants credentials for ${spec}, and there are none for it.`,
    });
    await expect(clientOf(registry.host, noCredentials).ping(registry.host)).rejects.toMatchObject({
      code: 'registry_denied',
    });
  });

  test.each([
    [429, { 'retry-after': '7' }, 7],
    [503, { 'retry-after': new Date(Date.now() + 3600_000).toUTCString() }, 3600],
    [500, {}, undefined],
  ])('status %i may pass', async (status, headers, seconds) => {
    gate.guard = (_, response) => {
      response.writeHead(status, headers).end();
      return 'answered';
    };
    const failure = await clientOf(gate.host)
      .digestOf(`${gate.host}/ns/image:one`)
      .catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({
      code: 'registry_unavailable',
      message: `The registry ${gate.host} answered ${status}`,
    });
    const { retryAfter } = failure as { retryAfter?: number };
    if (seconds === undefined) expect(retryAfter).toBeUndefined();
    else expect(Math.abs((retryAfter ?? 0) - seconds)).toBeLessThan(10);
  });

  test('no plain HTTP unless it is allowed', async () => {
    gate.guard = () => 'pass';
    gate.calls.length = 0;
    const careful = createRegistryClient({
      auth: authFor(gate.host),
      insecure: [],
      rules: { trusted: [gate.host] },
      callTimeout: 5_000,
    });
    await expect(careful.ping(gate.host)).rejects.toMatchObject({
      code: 'registry_tls_failed',
      message: expect.stringContaining('name it in registry.insecure'),
    });
    expect(gate.calls).toEqual([]);
  });

  test('nobody there', async () => {
    const closed = await startGate(registry.host);
    await closed.close();
    await expect(clientOf(closed.host).digestOf(`${closed.host}/a/b:c`)).rejects.toMatchObject({
      code: 'registry_unavailable',
      message: `The registry ${closed.host} cannot be reached (ECONNREFUSED)`,
    });
  });

  test('no answer within the time of a call, and a call that is given up', async () => {
    gate.guard = () => 'answered';
    const options = { auth: noCredentials, insecure: [gate.host] };
    const hasty = createRegistryClient({ ...options, callTimeout: 50 });
    await expect(hasty.digestOf(`${gate.host}/a/b:c`)).rejects.toMatchObject({
      code: 'registry_slow',
      message: `The registry ${gate.host} is too slow: ${gate.host}/a/b:c has no answer after 0.05 s`,
    });
    const stop = new AbortController();
    const patient = createRegistryClient({ ...options, callTimeout: 60_000, signal: stop.signal });
    const answer = patient.digestOf(`${gate.host}/a/b:c`);
    stop.abort(new Error('cancelled'));
    await expect(answer).rejects.toThrow('cancelled');
  });

  test('a blob that breaks off', async () => {
    gate.guard = ({ url }, response) => {
      if (!url?.includes('/blobs/')) return 'pass';
      response.writeHead(200, { 'content-length': 1000 });
      response.write('some', () => response.destroy());
      return 'answered';
    };
    const stream = await clientOf(gate.host).blob(`${gate.host}/ns/image`, { digest: ABSENT });
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'registry_unavailable' });
  });

  test('a redirect to a blob store does not take the credentials along', async () => {
    const store = await startGate(registry.host);
    const seen: (string | undefined)[] = [];
    const bytes = Buffer.from('kept elsewhere');
    store.guard = ({ headers }, response) => {
      seen.push(headers.authorization);
      response.end(bytes);
      return 'answered';
    };
    gate.guard = ({ url }, response) => {
      if (!url?.includes('/blobs/')) return 'pass';
      response.writeHead(307, { location: `http://${store.host}/bucket/object?signature=x` }).end();
      return 'answered';
    };
    try {
      const redirected = clientOf(gate.host);
      await redirected.ping(gate.host);
      const stream = await redirected.blob(`${gate.host}/ns/image`, { digest: digestOfBytes(bytes) });
      expect(await buffer(stream)).toEqual(bytes);
      expect(seen).toEqual([undefined]);
      gate.guard = (_, response) => {
        response.writeHead(307, { location: '/v2/' }).end();
        return 'answered';
      };
      await expect(redirected.ping(gate.host)).rejects.toMatchObject({
        code: 'registry_answer_invalid',
        message: `The registry ${gate.host} redirects ${gate.host} more than 10 times`,
      });
    } finally {
      await store.close();
    }
  });

  test.each([
    ['not JSON', 'nonsense', 'The manifest of {spec} is not valid'],
    [
      'an incomplete image',
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest }),
      'The manifest of {spec} is not valid',
    ],
    [
      'schema 1',
      JSON.stringify({ schemaVersion: 1, name: 'x' }),
      'The pull specification of {spec} is neither a v2 manifest list nor a v2s2 manifest. Type application/old and schema version 1 is not supported by IIB.',
    ],
  ])('a bundle whose manifest is %s', async (_, body, message) => {
    gate.guard = (_incoming, response) => {
      response.writeHead(200, { 'content-type': 'application/old; charset=utf-8' }).end(body);
      return 'answered';
    };
    const spec = `${gate.host}/ns/odd:one`;
    await expect(clientOf(gate.host).resolveBundle(spec)).rejects.toThrow(message.replace('{spec}', spec));
  });

  test('a manifest that is not what its digest says', async () => {
    gate.guard = (_, response) => {
      response.writeHead(200, { 'content-type': MEDIA.ociManifest }).end('{"schemaVersion":2}');
      return 'answered';
    };
    await expect(clientOf(gate.host).manifest(withDigest(`${gate.host}/a/b:c`, ABSENT))).rejects.toMatchObject({
      code: 'image_unreadable',
    });
  });
});

test('a registry started again on its directory has its content', async () => {
  const place = join(dir, 'again');
  const first = await startRegistry({ dir: place });
  const digest = await pushed(`${first.host}/a/b:c`, [{ architecture: 'amd64', layers: [] }]);
  await first.close();
  const port = Number(first.host.split(':')[1]);
  const second = await startRegistry({ dir: place, port });
  try {
    expect(second.host).toBe(first.host);
    expect(await clientOf(second.host, noCredentials).digestOf(`${second.host}/a/b:c`)).toBe(digest);
    await expect(startRegistry({ dir: join(dir, 'taken'), port })).rejects.toThrow('ended before it listened');
  } finally {
    await second.close();
  }
});
