import { execFile } from 'node:child_process';
import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  listBundles,
  listPackages,
  type ServedCatalog,
  serveCatalog,
  unpackImage,
} from '../../src/sandbox/catalog-client.ts';
import { branchOf, type Files } from './support/content.ts';
import { ADDED } from './support/proof.ts';
import { type View, type World, world } from './support/world.ts';

const run = promisify(execFile);
const ARCHES = ['amd64', 'arm64', 'ppc64le', 's390x'];
/** What containers call the architecture of this machine. */
const OWN = { x64: 'amd64', arm64: 'arm64', s390x: 's390x', ppc64: 'ppc64le' }[process.arch as 'x64'];

const List = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string(),
  manifests: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string(),
      size: z.number(),
      platform: z.object({ architecture: z.string(), os: z.string() }),
    }),
  ),
});
const Image = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string(),
  config: z.object({ mediaType: z.string(), digest: z.string() }),
  layers: z.array(z.object({ mediaType: z.string(), digest: z.string() })),
});
const Config = z.object({
  architecture: z.string(),
  os: z.string(),
  config: z.object({
    User: z.string(),
    Entrypoint: z.array(z.string()),
    Cmd: z.array(z.string()),
    Labels: z.record(z.string(), z.string()),
    ExposedPorts: z.unknown().optional(),
  }),
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
  history: z.array(z.looseObject({ empty_layer: z.boolean().optional() })),
});

let w: World;
let dir: string;
let request: View;
let spec: string;
/** Arch → its image and configuration, as skopeo reads them. */
const images = new Map<string, { manifest: z.infer<typeof Image>; config: z.infer<typeof Config> }>();
let list: z.infer<typeof List>;

/** A reader nobody here wrote. */
async function skopeo(verb: 'raw' | 'config', image: string): Promise<unknown> {
  const how = { raw: ['--raw'], config: ['--config', '--raw'] }[verb];
  const args = ['inspect', ...how, '--tls-verify=false', '--authfile', join(dir, '../secrets/registry.json')];
  const { stdout } = await run('skopeo', ['--insecure-policy', ...args, `docker://${image}`], { maxBuffer: 64 << 20 });
  return JSON.parse(stdout);
}

beforeAll(async () => {
  w = await world();
  dir = mkdtempSync(join(w.sandbox.layout.dir, 'image-'));
  request = await w.end(await w.add({ bundles: [w.sandbox.seeded.newest.lighthouse] }));
  expect(request.state_reason).toBe(ADDED);
  spec = request.index_image_resolved ?? '';
  list = List.parse(await skopeo('raw', spec));
  const name = spec.split('@')[0];
  await Promise.all(
    list.manifests.map(async ({ digest, platform }) => {
      const manifest = Image.parse(await skopeo('raw', `${name}@${digest}`));
      const config = Config.parse(await skopeo('config', `${name}@${digest}`));
      images.set(platform.architecture, { manifest, config });
    }),
  );
});
afterAll(() => w?.close());

describe('the image of an add', { timeout: 120_000 }, () => {
  test("is a list in docker's format for all arches, the same under every name", async () => {
    expect(list.mediaType).toBe('application/vnd.docker.distribution.manifest.list.v2+json');
    expect(list.manifests.map(({ platform }) => platform)).toEqual(
      ARCHES.map((architecture) => ({ architecture, os: 'linux' })),
    );
    for (const { mediaType } of list.manifests) {
      expect(mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    }
    const client = await w.sandbox.registryClient();
    const digest = spec.split('@')[1];
    for (const tag of [w.sandbox.seeded.fromIndex, `${w.sandbox.at.registry}/indexwright/iib-build:${request.id}`]) {
      expect(await client.digestOf(tag)).toBe(digest);
    }
  });

  test.for(ARCHES)('%s: media types, labels and command', (arch) => {
    const { manifest, config } = images.get(arch) ?? expect.unreachable();
    expect(manifest.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    expect(manifest.config.mediaType).toBe('application/vnd.docker.container.image.v1+json');
    for (const { mediaType } of manifest.layers) {
      expect(mediaType).toBe('application/vnd.docker.image.rootfs.diff.tar.gzip');
    }
    expect({ architecture: config.architecture, os: config.os }).toEqual({ architecture: arch, os: 'linux' });
    expect(config.config.Labels).toEqual({
      'operators.operatorframework.io.index.configs.v1': '/configs',
      'com.redhat.index.delivery.version': 'v4.19',
      'com.redhat.index.delivery.distribution_scope': 'prod',
      // Of the base image.
      version: 'v4.19',
    });
    expect(config.config.Entrypoint).toEqual(['/bin/opm']);
    expect(config.config.Cmd).toEqual(['serve', '/configs', '--cache-dir=/tmp/cache']);
    expect(config.config.User).toBe('1001');
    expect(config.config.ExposedPorts).toBeUndefined();
    expect(config.rootfs.diff_ids).toHaveLength(manifest.layers.length);
    expect(config.history.filter(({ empty_layer }) => !empty_layer)).toHaveLength(manifest.layers.length);
  });

  test('catalog and cache are the same two layers for all arches, on top of the base image', async () => {
    const base = List.parse(await skopeo('raw', w.sandbox.seeded.binaryImage));
    const name = w.sandbox.seeded.binaryImage.replace(/:[^/:]*$/, '');
    const added: string[][] = [];
    for (const { digest, platform } of base.manifests) {
      const below = Image.parse(await skopeo('raw', `${name}@${digest}`)).layers.map((layer) => layer.digest);
      const layers = images.get(platform.architecture)?.manifest.layers.map((layer) => layer.digest) ?? [];
      expect(layers.slice(0, below.length)).toEqual(below);
      added.push(layers.slice(below.length));
    }
    expect(added).toHaveLength(ARCHES.length);
    expect(added[0]).toHaveLength(2);
    for (const layers of added) expect(layers).toEqual(added[0]);
  });

  test('the catalog is read-only for all, the cache writable for its user and for group 0', async () => {
    const [configs = '', cache = ''] =
      images
        .get(OWN)
        ?.manifest.layers.slice(-2)
        .map(({ digest }) => digest) ?? [];
    expect(await owners(configs, 'configs')).toEqual(['-rw-r--r-- 0/0', 'drwxr-xr-x 0/0']);
    expect(await owners(cache, 'tmp/cache')).toEqual(['-rw-rw---- 1001/0', 'drwxr-xr-x 1001/0', 'drwxrwx--- 1001/0']);
  });

  test.for(ARCHES)('%s: /configs is what the catalog branch has', async (arch) => {
    const root = join(dir, arch);
    await unpackImage(await w.sandbox.registryClient(), spec, arch, root);
    const { configs } = await branchOf(w, 'v4.19');
    expect(Object.keys(configs)).toEqual(expect.arrayContaining(['lighthouse/catalog.json']));
    expect(filesBelow(join(root, 'configs'))).toEqual(configs);
  });

  describe('served by the opm of its base', () => {
    let served: ServedCatalog;
    beforeAll(async () => {
      const root = join(dir, OWN);
      served = await serveCatalog({ opmPath: join(root, 'bin/opm'), root });
    });
    afterAll(() => served?.close());

    test('the cache passes the integrity check, packages and bundles are those of the catalog', async () => {
      expect(await listPackages(served.port)).toEqual(['harbor-pilot', 'lighthouse']);
      const bundles = await listBundles(served.port);
      const { configs } = await branchOf(w, 'v4.19');
      const names = Object.values(configs).flatMap((text) =>
        [...text.matchAll(/"schema": "olm\.bundle",\s+"name": "([^"]+)"/g)].map((match) => match[1]),
      );
      expect([...new Set(bundles.map(({ name }) => name))].sort()).toEqual(names.sort());
      expect(bundles).toContainEqual(
        expect.objectContaining({
          name: 'lighthouse.v1.2.0',
          package: 'lighthouse',
          version: '1.2.0',
          image: w.sandbox.seeded.newest.lighthouse,
        }),
      );
    });
  });

  test('a cache of another catalog is refused: the check is a real one', async () => {
    const root = join(dir, 'tampered');
    await unpackImage(await w.sandbox.registryClient(), spec, OWN, root);
    rmSync(join(root, 'configs/harbor-pilot'), { recursive: true });
    const serving = serveCatalog({ opmPath: join(root, 'bin/opm'), root });
    await expect(serving).rejects.toMatchObject({ cause: expect.stringContaining('cache requires rebuild') });
  });
});

/** Permissions and owners of all that a layer has, each once; all of it must be below one folder. */
async function owners(digest: string, folder: string): Promise<string[]> {
  const client = await w.sandbox.registryClient();
  const name = spec.split('@')[0] ?? '';
  const file = join(dir, `layer-${digest.slice(7, 19)}`);
  const size = (await client.image(spec)).document.layers.find((layer) => layer.digest === digest)?.size ?? 0;
  await pipeline(await client.blob(name, { digest, size }), createWriteStream(file));
  const { stdout } = await run('tar', ['--numeric-owner', '-tvzf', file]);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  for (const line of lines) expect(line.at(-1)).toMatch(new RegExp(`^${folder}/`));
  return [...new Set(lines.map(([mode, owner]) => `${mode} ${owner}`))].sort();
}

function filesBelow(root: string): Files {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.map((path) => [path.slice(root.length + 1), readFileSync(path, 'utf8')]));
}
