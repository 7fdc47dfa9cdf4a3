import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import type { RegistryClient } from '../../src/registry/client.ts';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { parsePullSpec } from '../../src/registry/pull-spec.ts';

const exec = promisify(execFile);

export type TarEntry = Partial<Header> & { name: string } & { content?: string | Buffer };

/** A layer's bytes; entries go in as they are, hostile ones too. */
export async function tarOf(entries: readonly TarEntry[]): Promise<Buffer> {
  const tar = pack();
  const bytes = buffer(tar);
  for (const { content, ...header } of entries) tar.entry(header, content ?? '');
  tar.finalize();
  return bytes;
}

export interface Layer {
  bytes: Buffer;
  mediaType?: string;
}

export interface Platform {
  architecture: string;
  layers: readonly Layer[];
  labels?: Record<string, string> | null;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const OCI = 'application/vnd.oci.image';

export async function gzipLayer(entries: readonly TarEntry[]): Promise<Layer> {
  return { bytes: gzipSync(await tarOf(entries)) };
}

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'indexwright-registry-test-'));
}

/** An OCI layout with an index of these platforms, or with one image when there is one and no list is asked for. */
export async function ociLayout(dir: string, platforms: readonly Platform[], shape: 'list' | 'image'): Promise<string> {
  const blobs = join(dir, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const add = async (bytes: Buffer, mediaType: string) => {
    await writeFile(join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const json = (document: object) => Buffer.from(JSON.stringify(document));
  const manifests = [];
  for (const { architecture, layers, labels } of platforms) {
    const config = await add(
      json({ architecture, os: 'linux', config: { Labels: labels }, rootfs: { type: 'layers', diff_ids: [] } }),
      `${OCI}.config.v1+json`,
    );
    const descriptors = [];
    for (const { bytes, mediaType } of layers)
      descriptors.push(await add(bytes, mediaType ?? `${OCI}.layer.v1.tar+gzip`));
    const manifest = json({ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers: descriptors });
    manifests.push({ ...(await add(manifest, `${OCI}.manifest.v1+json`)), platform: { architecture, os: 'linux' } });
  }
  const list = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests };
  const top = shape === 'list' ? await add(json(list), list.mediaType) : manifests[0];
  await writeFile(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [top] }));
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return `oci:${dir}`;
}

/** Pushes with skopeo, so that what we read was not written by us. */
export async function pushed(
  to: string,
  platforms: readonly Platform[],
  {
    credentials,
    shape = platforms.length > 1 ? 'list' : 'image',
  }: { credentials?: string; shape?: 'list' | 'image' } = {},
): Promise<string> {
  const dir = await temporaryDirectory();
  try {
    const source = await ociLayout(dir, platforms, shape);
    await skopeo(
      'copy',
      '--all',
      '--preserve-digests',
      '--dest-tls-verify=false',
      ...creds('--dest-creds', credentials),
      source,
      `docker://${to}`,
    );
    return await skopeoDigest(to, credentials);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Pushes one image by our own client, which is much faster than a program and enough where layers are what matters. */
export async function imageByClient(
  client: RegistryClient,
  spec: string,
  { architecture, layers, labels }: Platform,
): Promise<string> {
  const { registry, repository, tag } = parsePullSpec(spec);
  const name = `${registry}/${repository}`;
  const add = async (bytes: Buffer, mediaType: string) => {
    const id = { digest: digestOfBytes(bytes), size: bytes.length };
    await client.uploadBlob(name, { ...id, bytes });
    return { mediaType, ...id };
  };
  const config = { architecture, os: 'linux', config: { Labels: labels }, rootfs: { type: 'layers', diff_ids: [] } };
  const manifest = {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: await add(Buffer.from(JSON.stringify(config)), `${OCI}.config.v1+json`),
    layers: await Promise.all(layers.map(({ bytes, mediaType = `${OCI}.layer.v1.tar+gzip` }) => add(bytes, mediaType))),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  await client.putManifest(name, tag as string, manifest.mediaType, bytes);
  return `${name}@${digestOfBytes(bytes)}`;
}

/** The raw manifest as skopeo reads it. */
export async function skopeoRaw(spec: string, credentials?: string): Promise<string> {
  return skopeo('inspect', '--raw', '--tls-verify=false', ...creds('--creds', credentials), `docker://${spec}`);
}

export async function skopeoDigest(spec: string, credentials?: string): Promise<string> {
  return `sha256:${sha256(Buffer.from(await skopeoRaw(spec, credentials)))}`;
}

export async function skopeoTags(repository: string, credentials?: string): Promise<string[]> {
  const args = ['list-tags', '--tls-verify=false', ...creds('--creds', credentials), `docker://${repository}`];
  return (JSON.parse(await skopeo(...args)) as { Tags: string[] }).Tags.toSorted();
}

export async function skopeo(...args: string[]): Promise<string> {
  return (await exec('skopeo', args)).stdout;
}

function creds(flag: string, credentials: string | undefined): string[] {
  return credentials === undefined ? [] : [flag, credentials];
}
