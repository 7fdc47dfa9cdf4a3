import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildIndexCommand } from '../../src/builder/command.ts';
import { run } from '../../src/process/run.ts';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { makeBinaryImage } from '../../src/sandbox/binary-image.ts';
import { listBundles, listPackages, serveCatalog, unpackImage } from '../../src/sandbox/catalog-client.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';

const TOOLS = resolve(import.meta.dirname, '../../.tools/bin');
const ARCHES = ['amd64', 'arm64', 'ppc64le', 's390x'];
const COMMIT = 'a'.repeat(40);
const DOCKERFILE = `ARG BINARY_IMAGE=registry.example.com/none:1
FROM \${BINARY_IMAGE}
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
COPY configs /configs
COPY --chown=1001:0 cache /tmp/cache
LABEL operators.operatorframework.io.index.configs.v1=/configs
LABEL from=Dockerfile
`;
const LABELS = { 'com.redhat.index.delivery.version': 'v4.19', 'com.redhat.index.delivery.distribution_scope': 'prod' };

let dir: string;
let registry: RunningRegistry;
let elsewhere: RunningRegistry;
let client: RegistryClient;
let base: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-builder-test-'));
  [registry, elsewhere] = await Promise.all([
    startRegistry({ dir: join(dir, 'registry') }),
    startRegistry({ dir: join(dir, 'elsewhere') }),
  ]);
  client = createRegistryClient({
    auth: noCredentials,
    insecure: [registry.host, elsewhere.host],
    callTimeout: 10_000,
  });
  base = `${registry.host}/base/ose-operator-registry-rhel9:v4.19`;
  await makeBinaryImage({
    client,
    ref: base,
    arches: ARCHES,
    opmPath: join(TOOLS, 'opm-v1.48.0'),
    labels: { base: 'yes', 'build-date': '2020-01-01T00:00:00', 'org.opencontainers.image.created': '2020' },
  });
});

afterAll(async () => {
  await Promise.all([registry.close(), elsewhere.close()]);
  await rm(dir, { recursive: true });
});

interface Change {
  metadata?: Record<string, unknown>;
  dockerfile?: string;
  configs?: Record<string, string>;
}

/** A checkout of a catalog repository. */
async function checkout(name: string, { metadata = {}, dockerfile = DOCKERFILE, configs = catalog }: Change = {}) {
  const context = join(dir, name);
  await rm(context, { recursive: true, force: true });
  for (const [file, text] of Object.entries(configs)) {
    await mkdir(join(context, 'configs', file, '..'), { recursive: true });
    await writeFile(join(context, 'configs', file), text, { mode: 0o600 });
  }
  await mkdir(context, { recursive: true });
  await writeFile(join(context, 'Dockerfile'), dockerfile);
  const content = {
    opm_version: 'opm-v1.48.0',
    arches: ['s390x', 'amd64', 'arm64'],
    labels: LABELS,
    binary_image: base,
    ...metadata,
  };
  const text = JSON.stringify(content, null, 2).replace('REGISTRY', registry.host);
  await writeFile(join(context, '.iib-build-metadata.json'), text);
  return context;
}

interface Result {
  code: number;
  said: string;
  results: { url: string; digest: string; ref: string } | null;
}

interface Rest {
  more?: string[];
  commit?: string;
  env?: Record<string, string>;
}

async function build(
  context: string,
  image: string,
  { more = [], commit = COMMIT, env: given = { SOURCE_DATE_EPOCH: '1700000000' } }: Rest = {},
): Promise<Result> {
  const said: string[] = [];
  const resultDir = await mkdtemp(join(dir, 'results-'));
  const args = ['--context', context, '--image', image, '--commit', commit, '--result-dir', resultDir, ...more];
  const env = {
    ...given,
    INDEXWRIGHT_OPM_DIR: TOOLS,
    INDEXWRIGHT_INSECURE_REGISTRIES: `${registry.host},${elsewhere.host}`,
    HOME: dir,
  };
  const code = await buildIndexCommand(args, env, (line) => said.push(line));
  const read = (name: string) => readFile(join(resultDir, name), 'utf8');
  const results =
    code === 0
      ? { url: await read('IMAGE_URL'), digest: await read('IMAGE_DIGEST'), ref: await read('IMAGE_REF') }
      : null;
  return { code, said: said.join('\n'), results };
}

/** What the tests look at in a manifest or a config. */
interface Inspected {
  mediaType: string;
  manifests: { mediaType: string; digest: string }[];
  layers: { mediaType: string }[];
  architecture: string;
  config: { mediaType: string; Entrypoint?: string[]; Cmd?: string[]; Labels: Record<string, string> };
  rootfs: { diff_ids: string[] };
  created: string;
  history: { created?: string }[];
}

async function inspect(spec: string, arch: string, what: 'config' | 'raw'): Promise<Inspected> {
  const flags = what === 'config' ? ['--config', '--override-arch', arch] : ['--raw'];
  const ran = await run(
    'skopeo',
    ['inspect', '--tls-verify=false', '--override-os', 'linux', ...flags, `docker://${spec}`],
    { timeout: 20_000 },
  );
  expect(ran).toMatchObject({ exitCode: 0 });
  return JSON.parse(ran.stdout);
}

const pkg = (name: string, version: string) => `---
schema: olm.package
name: ${name}
defaultChannel: alpha
---
schema: olm.channel
package: ${name}
name: alpha
entries:
- name: ${name}.v${version}
---
schema: olm.bundle
name: ${name}.v${version}
package: ${name}
image: registry.example.com/bundles/${name}@sha256:${'4'.repeat(64)}
properties:
- type: olm.package
  value:
    packageName: ${name}
    version: ${version}
`;
const catalog = { 'etcd/catalog.yaml': pkg('etcd', '0.9.4'), 'prometheus/catalog.yaml': pkg('prometheus', '0.22.2') };

describe('a catalog image', () => {
  let image: string;
  let built: Result;

  beforeAll(async () => {
    image = `${registry.host}/catalogs/index:v4.19`;
    built = await build(await checkout('whole'), image);
  });

  test('is reported as name:tag, digest, and both', async () => {
    expect(built).toMatchObject({ code: 0 });
    expect(built.results).toEqual({
      url: image,
      digest: await client.digestOf(image),
      ref: `${image}@${await client.digestOf(image)}`,
    });
    expect(await client.digestOf(image.replace('v4.19', COMMIT))).toBe(built.results?.digest);
  });

  test('is a v2s2 list of v2s2 images', async () => {
    const list = await inspect(image, 'amd64', 'raw');
    expect(list).toMatchObject({
      mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json',
      manifests: ['amd64', 'arm64', 's390x'].map((architecture) => ({
        mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
        platform: { architecture, os: 'linux' },
      })),
    });
  });

  test.each(['amd64', 'arm64', 's390x'])('has labels, entrypoint and the settings of its base on %s', async (arch) => {
    const config = await inspect(image, arch, 'config');
    expect(config).toMatchObject({ architecture: arch, os: 'linux' });
    expect(config.config).toMatchObject({
      Entrypoint: ['/bin/opm'],
      Cmd: ['serve', '/configs', '--cache-dir=/tmp/cache'],
      User: '1001',
      Labels: {
        ...LABELS,
        base: 'yes',
        from: 'Dockerfile',
        'operators.operatorframework.io.index.configs.v1': '/configs',
      },
    });
    expect(config.rootfs.diff_ids).toHaveLength(4);
    expect(config.history).toHaveLength(4);
  });

  test('serves its packages, with the integrity of the cache enforced', async () => {
    const root = join(dir, 'unpacked');
    await unpackImage(client, image, 'amd64', root);
    expect((await stat(join(root, 'configs/etcd/catalog.yaml'))).mode & 0o777).toBe(0o644);
    expect((await stat(join(root, 'tmp'))).mode & 0o7777).toBe(0o1777);
    // opm writes while it serves, as a user of group 0.
    expect((await stat(join(root, 'tmp/cache/pogreb.v1/db'))).mode & 0o777).toBe(0o770);
    const served = await serveCatalog({ opmPath: join(root, 'bin/opm'), root });
    try {
      expect(await listPackages(served.port)).toEqual(['etcd', 'prometheus']);
      expect(await listBundles(served.port)).toContainEqual({
        name: 'etcd.v0.9.4',
        package: 'etcd',
        channel: 'alpha',
        image: `registry.example.com/bundles/etcd@sha256:${'4'.repeat(64)}`,
        version: '0.9.4',
        replaces: '',
      });
    } finally {
      await served.close();
    }
  });

  test('is copied by skopeo to another registry as it is', async () => {
    const target = `${elsewhere.host}/copied/index:v4.19`;
    const flags = ['--all', '--format', 'v2s2', '--src-tls-verify=false', '--dest-tls-verify=false'];
    const ran = await run(
      'skopeo',
      ['--insecure-policy', 'copy', ...flags, `docker://${image}`, `docker://${target}`],
      { timeout: 60_000 },
    );
    expect(ran).toMatchObject({ exitCode: 0 });
    expect(await client.digestOf(target)).toBe(built.results?.digest);
  });
});

test('a changed catalog under an old cache is not served', async () => {
  const context = await checkout('stale');
  const image = `${registry.host}/catalogs/stale:1`;
  expect(await build(context, image)).toMatchObject({ code: 0 });
  const root = join(dir, 'stale-unpacked');
  await unpackImage(client, image, 'amd64', root);
  await writeFile(join(root, 'configs/etcd/catalog.yaml'), pkg('etcd', '0.9.5'));
  await expect(serveCatalog({ opmPath: join(root, 'bin/opm'), root })).rejects.toMatchObject({
    code: 'process_failed',
    cause: expect.stringContaining('integrity check failed'),
  });
});

describe('the date of an image', () => {
  const image = () => `${registry.host}/catalogs/dated:1`;

  test('is the one given, in its history and in the labels of its base, too', async () => {
    await build(await checkout('dated'), image(), { env: { SOURCE_DATE_EPOCH: '1600000000' } });
    const { created, history, config } = await inspect(image(), 'arm64', 'config');
    const date = '2020-09-13T12:26:40Z';
    expect(created).toBe(date);
    expect(history.slice(-2).map((entry) => entry.created)).toEqual([date, date]);
    const label = '2020-09-13T12:26:40.000Z';
    expect(config.Labels).toMatchObject({ 'build-date': label, 'org.opencontainers.image.created': label });
  });

  test('is the time of the commit where only git knows it', async () => {
    const context = await checkout('dated-by-git');
    const env = { GIT_COMMITTER_DATE: '@1650000000 +0200', GIT_AUTHOR_DATE: '@1640000000 +0200' };
    const git = async (...args: string[]) => {
      const identity = ['-c', 'user.name=x', '-c', 'user.email=x@example.com'];
      const ran = await run('git', ['-C', context, ...identity, ...args], { timeout: 30_000, env });
      expect(ran.exitCode).toBe(0);
      return ran.stdout.trim();
    };
    await git('init', '-q');
    await git('add', '-A');
    await git('commit', '-qm', 'Catalog');
    await build(context, image(), { commit: await git('rev-parse', 'HEAD'), env: {} });
    expect((await inspect(image(), 'amd64', 'config')).created).toBe('2022-04-15T05:20:00Z');
  });

  test('is now where nobody knows the commit', async () => {
    const before = Date.now();
    await build(await checkout('dated-by-nobody'), image(), { env: {} });
    const { created } = await inspect(image(), 'amd64', 'config');
    expect(Date.parse(created)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(created)).toBeLessThanOrEqual(Date.now());
  });

  test('is refused where it is no number', async () => {
    const { code, said } = await build(await checkout('dated-badly'), image(), { env: { SOURCE_DATE_EPOCH: 'today' } });
    expect([code, said]).toEqual([2, 'SOURCE_DATE_EPOCH must be a number of seconds since 1970']);
  });
});

test('equal content and equal dates give the same digest where there is no cache', async () => {
  const dockerfile = DOCKERFILE.replace(/COPY --chown.*\n/, '').replace(', "--cache-dir=/tmp/cache"', '');
  const image = `${registry.host}/catalogs/same:1`;
  const digests = [];
  for (const name of ['one', 'two'])
    digests.push((await build(await checkout(name, { dockerfile }), image)).results?.digest);
  expect(digests[0]).toMatch(/^sha256:/);
  expect(digests[1]).toBe(digests[0]);
});

test('an OCI base in another registry is copied and converted', async () => {
  const oci = `${elsewhere.host}/oci/base:1`;
  const flags = ['--all', '--format', 'oci', '--src-tls-verify=false', '--dest-tls-verify=false'];
  await run('skopeo', ['--insecure-policy', 'copy', ...flags, `docker://${base}`, `docker://${oci}`], {
    timeout: 60_000,
  });
  const index = await inspect(oci, 'amd64', 'raw');
  expect(index.manifests[0]?.mediaType).toBe('application/vnd.oci.image.manifest.v1+json');

  const image = `${registry.host}/catalogs/from-oci:1`;
  const byDigest = `${oci}@${await client.digestOf(oci)}`;
  expect(await build(await checkout('oci', { metadata: { binary_image: byDigest } }), image)).toMatchObject({
    code: 0,
  });
  const config = await inspect(image, 'arm64', 'config');
  expect(config).toMatchObject({ architecture: 'arm64', config: { Entrypoint: ['/bin/opm'], User: '1001' } });
  const list = await inspect(image, 'arm64', 'raw');
  const arm64 = await inspect(`${registry.host}/catalogs/from-oci@${list.manifests[1]?.digest}`, 'arm64', 'raw');
  expect(arm64.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
  expect(arm64.config.mediaType).toBe('application/vnd.docker.container.image.v1+json');
  expect(new Set(arm64.layers.map((layer) => layer.mediaType))).toEqual(
    new Set(['application/vnd.docker.image.rootfs.diff.tar.gzip']),
  );
  await unpackImage(client, image, 's390x', join(dir, 'oci-unpacked'));
});

test('an image from scratch has the catalog and no entrypoint', async () => {
  const image = `${registry.host}/catalogs/scratch:1`;
  const metadata = { binary_image: 'scratch', arches: ['amd64', 'ppc64le'] };
  expect(await build(await checkout('scratch', { metadata }), image)).toMatchObject({ code: 0 });
  const { config, architecture, rootfs } = await inspect(image, 'ppc64le', 'config');
  expect(architecture).toBe('ppc64le');
  expect(config.Entrypoint).toBeUndefined();
  expect(config.Cmd).toBeUndefined();
  expect(config.Labels).toMatchObject({ 'operators.operatorframework.io.index.configs.v1': '/configs' });
  expect(rootfs.diff_ids).toHaveLength(2);
});

test.each(['opm', 'v1.73.0', 'opm-v1.73.0'])('opm_version "%s" is understood', async (version) => {
  const context = await checkout('version', { metadata: { opm_version: version, arches: ['amd64'] } });
  const built = await build(context, `${registry.host}/catalogs/version:1`);
  expect(built).toMatchObject({ code: 0, said: expect.stringContaining('with opm v1.73.0') });
});

test.each<[string, Change, string]>([
  ['opm_version missing', { metadata: { opm_version: undefined } }, 'opm_version'],
  [
    'unknown opm',
    { metadata: { opm_version: 'opm-v1.26.4' } },
    'opm_version "opm-v1.26.4" is not offered by this builder: it has v1.48.0, v1.73.0',
  ],
  ['no arches', { metadata: { arches: [] } }, 'must name at least one architecture'],
  [
    'an arch the base lacks',
    { metadata: { arches: ['amd64', 'riscv64'] } },
    'is not offered for riscv64; it is for amd64, arm64, ppc64le, s390x',
  ],
  ['a base that is not there', { metadata: { binary_image: 'REGISTRY/nope:1' } }, 'Make sure it exists'],
  ['no configs', { configs: {} }, 'There is no configs directory in the build context'],
  ['an invalid catalog', { configs: { 'etcd/catalog.yaml': pkg('etcd', 'x.y') } }, 'opm validate refuses configs: '],
  ['a Dockerfile with RUN', { dockerfile: `${DOCKERFILE}RUN true\n` }, 'Dockerfile line 9: RUN is not supported'],
])('fails clearly: %s', async (_, change, message) => {
  const image = `${registry.host}/catalogs/refused:1`;
  const built = await build(await checkout('refused', change), image);
  expect(built).toMatchObject({ code: 1, said: expect.stringContaining(message) });
  expect(await client.digestOf(image)).toBeNull();
});

test('fails clearly: no metadata, no Dockerfile', async () => {
  const context = await checkout('bare');
  await rm(join(context, 'Dockerfile'));
  const image = `${registry.host}/catalogs/refused:1`;
  expect(await build(context, image)).toMatchObject({
    code: 1,
    said: expect.stringContaining('There is no Dockerfile'),
  });
  await rm(join(context, '.iib-build-metadata.json'));
  expect(await build(context, image)).toMatchObject({
    code: 1,
    said: expect.stringContaining('The build metadata .iib-build-metadata.json is missing in the build context'),
  });
});

test('credentials come from the files the environment names', async () => {
  const password = 'a-very-secret-password';
  const closed = await startRegistry({ dir: join(dir, 'closed'), auth: { users: [{ user: 'robot', password }] } });
  try {
    const context = await checkout('closed-catalog', { metadata: { binary_image: 'scratch' } });
    const args = [
      '--context',
      context,
      '--image',
      `${closed.host}/a/b/c:1`,
      '--commit',
      COMMIT,
      '--result-dir',
      join(dir, 'r'),
    ];
    const home = await mkdtemp(join(dir, 'home-'));
    const file = join(home, '.docker', 'config.json');
    await mkdir(join(home, '.docker'));
    const auth = Buffer.from(`robot:${password}`).toString('base64');
    await writeFile(file, JSON.stringify({ auths: { [closed.host]: { auth } } }), { mode: 0o600 });
    const attempt = async (env: Record<string, string>) => {
      const said: string[] = [];
      const all = { INDEXWRIGHT_OPM_DIR: TOOLS, HOME: dir, ...env };
      const code = await buildIndexCommand([...args, '--insecure-registry', closed.host], all, (line) =>
        said.push(line),
      );
      expect(said.join('\n')).not.toContain(password);
      return { code, said: said.join('\n') };
    };
    expect(await attempt({})).toMatchObject({ code: 1, said: expect.stringContaining('wants credentials') });
    expect(await attempt({ REGISTRY_AUTH_FILE: file })).toMatchObject({ code: 0 });
    expect(await attempt({ DOCKER_CONFIG: join(home, '.docker') })).toMatchObject({ code: 0 });
    expect(await attempt({ HOME: home })).toMatchObject({ code: 0 });
    expect(await attempt({ DOCKER_CONFIG: home })).toMatchObject({ code: 2 });
  } finally {
    await closed.close();
  }
});

test('wrong usage is told with the usage', async () => {
  const said: string[] = [];
  expect(await buildIndexCommand(['--context', dir], {}, (line) => said.push(line))).toBe(2);
  expect(said.join()).toContain('--image is missing');
  expect(said.join()).toContain('indexwright build-index --context <dir>');
});
