import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { MEDIA, parseManifest } from '../../src/registry/manifest.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { skopeo, tarOf, temporaryDirectory } from './fixtures.ts';

let dir: string;
let registry: RunningRegistry;
let client: RegistryClient;
let name: string;
let count = 0;

beforeAll(async () => {
  dir = await temporaryDirectory();
  registry = await startRegistry({ dir: join(dir, 'registry') });
  client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
  name = `${registry.host}/test/platforms`;
});
afterAll(async () => {
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

async function blob(bytes: Buffer, mediaType: string) {
  const id = { digest: digestOfBytes(bytes), size: bytes.length };
  await client.uploadBlob(name, { ...id, bytes });
  return { mediaType, ...id };
}

async function put(document: { mediaType: string }, tag?: string) {
  const bytes = Buffer.from(JSON.stringify(document));
  await client.putManifest(name, tag ?? digestOfBytes(bytes), document.mediaType, bytes);
  return { mediaType: document.mediaType, digest: digestOfBytes(bytes), size: bytes.length };
}

/** An image that says by a label which one it is; `own` is what its config says of its platform. */
async function image(label: string, own: object = { os: 'linux', architecture: 'amd64' }) {
  const config = { ...own, config: { Labels: { label } }, rootfs: { type: 'layers', diff_ids: [] } };
  const layer = gzipSync(await tarOf([{ name: label, content: label }]));
  return put({
    mediaType: MEDIA.ociManifest,
    ...{ schemaVersion: 2, config: await blob(Buffer.from(JSON.stringify(config)), CONFIG) },
    layers: [await blob(layer, LAYER)],
  } as { mediaType: string });
}

/** An entry: what the list says of the platform, and the image's own platform where that is another thing. */
interface Entry {
  platform?: object | null;
  own?: object;
  annotations?: object | null;
  /** A list instead of an image. */
  list?: Entry[];
}

async function listOf(
  entries: readonly Entry[],
  prefix = '',
): Promise<{ mediaType: string; digest: string; size: number }> {
  const manifests = [];
  for (const [number, { platform, own, annotations, list }] of entries.entries()) {
    const label = `${prefix}${number}`;
    const to = list === undefined ? await image(label, own ?? platform ?? {}) : await listOf(list, `${label}.`);
    const said = {
      ...(platform === undefined ? {} : { platform }),
      ...(annotations === undefined ? {} : { annotations }),
    };
    manifests.push({ ...to, ...said });
  }
  count += 1;
  const index = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests, annotations: null };
  return put(index, `list-${count}`);
}

const on = (architecture: string, os = 'linux', rest: object = {}): Entry => ({
  platform: { architecture, os, ...rest },
});
const attestation: Entry = {
  ...on('unknown', 'unknown'),
  annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
};
const [amd64, arm64, s390x] = [on('amd64'), on('arm64'), on('s390x')];
const windows = on('amd64', 'windows', { 'os.version': '10.0.17763.1' });

async function bySkopeo(digest: string): Promise<string | null> {
  const flags = ['--override-os', 'linux', '--override-arch', 'amd64', '--tls-verify=false'];
  const asked = skopeo('inspect', '--config', ...flags, `docker://${name}@${digest}`);
  return asked.then((text) => JSON.parse(text).config.Labels.label).catch(() => null);
}

describe('of a list, the image that skopeo takes for linux/amd64', () => {
  test.each<[string, Entry[], { label: string; arches: string[]; bundle?: string }]>([
    ['windows first', [windows, amd64], { label: '1', arches: ['amd64'], bundle: '1' }],
    [
      'another architecture first',
      [arm64, amd64, s390x],
      { label: '1', arches: ['arm64', 'amd64', 's390x'], bundle: '0' },
    ],
    ['an attestation first', [attestation, amd64, attestation], { label: '1', arches: ['amd64'], bundle: '1' }],
    [
      'arm/v7 beside arm64',
      [on('arm', 'linux', { variant: 'v7' }), on('arm64', 'linux', { variant: 'v8' }), amd64],
      { label: '2', arches: ['arm', 'arm64', 'amd64'] },
    ],
    ['a newer variant first', [on('amd64', 'linux', { variant: 'v3' }), amd64], { label: '1', arches: ['amd64'] }],
    [
      'null where there is nothing to say',
      [on('amd64', 'linux', { variant: null, 'os.version': null, 'os.features': null })],
      { label: '0', arches: ['amd64'] },
    ],
    ['annotations that are null', [{ ...amd64, annotations: null }], { label: '0', arches: ['amd64'] }],
    [
      'other systems',
      [on('amd64', 'darwin'), on('arm64', 'freebsd'), amd64],
      { label: '2', arches: ['amd64'], bundle: '2' },
    ],
    ['no platform named', [{ own: { os: 'linux', architecture: 'amd64' } }], { label: '0', arches: ['amd64'] }],
    [
      'a platform that is null',
      [{ platform: null, own: { os: 'linux', architecture: 'amd64' } }],
      { label: '0', arches: ['amd64'] },
    ],
  ])('%s', async (_, entries, { label, arches, bundle = '0' }) => {
    const { digest } = await listOf(entries);
    const spec = `${name}@${digest}`;
    expect(await bySkopeo(digest)).toBe(label);
    expect((await client.labels(spec)).label).toBe(label);
    expect(await client.arches(spec)).toEqual(arches);
    expect((await client.labels(await client.resolveBundle(spec))).label).toBe(bundle);
  });

  /** Where skopeo takes none, or, of unnamed platforms, the first without a look. */
  test.each<[string, Entry[], { label: string; arches: string[]; skopeo: string | null }]>([
    [
      'windows without a name, then linux without one',
      [{ own: { os: 'windows', architecture: 'amd64' } }, { own: { os: 'linux', architecture: 'amd64' } }],
      { label: '1', arches: ['amd64'], skopeo: '0' },
    ],
    [
      'an unnamed one beside others',
      [windows, s390x, { own: { os: 'linux', architecture: 'amd64' } }],
      { label: '2', arches: ['s390x', 'amd64'], skopeo: '2' },
    ],
    [
      'an attestation that its annotation alone tells',
      [{ ...amd64, annotations: attestation.annotations ?? {} }, amd64],
      { label: '1', arches: ['amd64'], skopeo: '0' },
    ],
    ['no amd64', [windows, on('arm64'), s390x], { label: '1', arches: ['arm64', 's390x'], skopeo: null }],
    [
      'a newer variant alone',
      [on('amd64', 'linux', { variant: 'v2' })],
      { label: '0', arches: ['amd64'], skopeo: null },
    ],
    [
      'a list in a list',
      [attestation, { list: [windows, arm64, amd64] }],
      { label: '1.2', arches: ['arm64', 'amd64'], skopeo: '1.2' },
    ],
    [
      'a list for a platform',
      [s390x, { ...amd64, list: [attestation, amd64] }],
      { label: '1.1', arches: ['s390x', 'amd64'], skopeo: '1.1' },
    ],
    ['windows alone', [windows], { label: '0', arches: [], skopeo: null }],
  ])('%s', async (_, entries, expected) => {
    const { digest } = await listOf(entries);
    const spec = `${name}@${digest}`;
    expect(await bySkopeo(digest)).toBe(expected.skopeo);
    expect((await client.labels(spec)).label).toBe(expected.label);
    expect(await client.arches(spec)).toEqual(expected.arches);
  });

  test('nothing but attestations', async () => {
    const { digest } = await listOf([attestation]);
    await expect(client.labels(`${name}@${digest}`)).rejects.toMatchObject({ code: 'image_unreadable' });
    await expect(client.resolveBundle(`${name}@${digest}`)).rejects.toThrow('has no image for linux');
  });

  test('of several variants, the usual one is built on', async () => {
    const { digest } = await listOf([
      on('arm', 'linux', { variant: 'v5' }),
      on('arm', 'linux', { variant: 'v7' }),
      windows,
    ]);
    const images = await client.linuxImages(`${name}@${digest}`);
    expect([...images.keys()]).toEqual(['arm']);
    expect((await client.labels(images.get('arm') as string)).label).toBe('1');
  });
});

describe('null and zero as Go writes them', () => {
  const descriptor = { mediaType: CONFIG, digest: `sha256:${'0'.repeat(64)}`, size: 2 };
  const parse = (document: object, type = '') =>
    parseManifest(Buffer.from(JSON.stringify(document)), type, 'spec').document;

  test('in lists', () => {
    const list = { schemaVersion: 2, mediaType: MEDIA.ociIndex };
    expect(parse({ ...list, manifests: null, annotations: null })).toMatchObject({ kind: 'list', manifests: [] });
    expect(parse(list)).toMatchObject({ kind: 'list', manifests: [] });
    const entry = { ...descriptor, platform: { architecture: null, os: '', variant: null }, annotations: { a: null } };
    expect(parse({ ...list, manifests: [entry] })).toMatchObject({
      manifests: [{ platform: { architecture: '', os: 'linux' }, annotations: { a: '' } }],
    });
  });

  test('in manifests', () => {
    const manifest = {
      schemaVersion: 2,
      mediaType: '',
      config: descriptor,
      layers: null,
      annotations: null,
      artifactType: null,
    };
    expect(parse(manifest, MEDIA.dockerManifest)).toMatchObject({ kind: 'image', layers: [], annotations: {} });
    expect(parse({ ...manifest, mediaType: null }, 'application/json')).toMatchObject({ kind: 'image' });
    expect(parse({ schemaVersion: 2, manifests: [] }, 'text/plain')).toMatchObject({ kind: 'list' });
  });

  test.each<[string, object, object]>([
    ['a label', { config: { Labels: { a: null, b: 'b' } } }, { a: '', b: 'b' }],
    ['the labels', { config: { Labels: null } }, {}],
    ['the settings', { config: null }, {}],
    ['no settings', {}, {}],
  ])('in configs: %s', async (_, settings, labels) => {
    const config = { os: 'linux', architecture: 'amd64', variant: null, created: null, ...settings };
    const { digest } = await put({
      mediaType: MEDIA.ociManifest,
      ...{ schemaVersion: 2, config: await blob(Buffer.from(JSON.stringify(config)), CONFIG), layers: null },
    });
    expect(await client.labels(`${name}@${digest}`)).toEqual(labels);
  });
});
