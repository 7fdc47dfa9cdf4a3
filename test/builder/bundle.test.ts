import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildBundleCommand, buildIndexCommand } from '../../src/builder/command.ts';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { unpackImage } from '../../src/sandbox/catalog-client.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { pushImage } from '../e2e/support/bundle-images.ts';

let dir: string;
let registry: RunningRegistry;
let client: RegistryClient;
let base: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-bundle-builder-'));
  registry = await startRegistry({ dir: join(dir, 'registry') });
  client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
  base = await pushImage(client, {
    ref: `${registry.host}/ops/kite-bundle:v1`,
    arches: ['amd64', 's390x'],
    labels: { vendor: 'kites', package: 'kite' },
    files: { 'manifests/csv.yaml': 'old', 'manifests/crd.yaml': 'kept', 'metadata/annotations.yaml': 'old' },
  });
});
afterAll(async () => {
  await registry.close();
  await rm(dir, { recursive: true });
});

async function build(
  change: { arches?: string[]; dockerfile?: string; metadata?: object } = {},
  program = buildBundleCommand,
) {
  const context = await mkdtemp(join(dir, 'context-'));
  for (const name of ['manifests', 'metadata']) await mkdir(join(context, name), { mode: 0o700 });
  await writeFile(join(context, 'manifests', 'csv.yaml'), 'new', { mode: 0o600 });
  await writeFile(join(context, 'metadata', 'annotations.yaml'), 'new');
  const dockerfile = `FROM ${base}\nCOPY ./manifests /manifests\nCOPY ./metadata /metadata\nLABEL "package"="kite-cmp"\n`;
  await writeFile(join(context, 'Dockerfile'), change.dockerfile ?? dockerfile);
  const metadata = change.metadata ?? { request_type: 'regenerate-bundle', request_id: 1, organization: null };
  const arches = change.arches ?? ['s390x', 'amd64'];
  await writeFile(join(context, '.iib-build-metadata.json'), JSON.stringify({ ...metadata, arches }));
  const said: string[] = [];
  const image = `${registry.host}/builds/bundle:on-pr`;
  const results = join(context, 'results');
  const args = ['--context', context, '--image', image, '--commit', 'a'.repeat(40), '--result-dir', results];
  const env = { INDEXWRIGHT_INSECURE_REGISTRIES: registry.host, HOME: dir, SOURCE_DATE_EPOCH: '1700000000' };
  const code = await program(args, env, (line) => said.push(line));
  const digest = code === 0 ? await readFile(join(results, 'IMAGE_DIGEST'), 'utf8') : null;
  return { code, said: said.join('\n'), digest, image };
}

test('both directories and the labels come over the bundle it was made from, for all arches', async () => {
  const { image, digest, code } = await build();
  expect(code).toBe(0);
  expect(await client.resolve(image)).toBe(`${registry.host}/builds/bundle@${digest}`);
  expect((await client.arches(image)).sort()).toEqual(['amd64', 's390x']);
  expect(await client.labels(image)).toEqual({ vendor: 'kites', package: 'kite-cmp' });
  for (const arch of ['amd64', 's390x']) {
    const to = join(dir, `image-${arch}`);
    await unpackImage(client, image, arch, to);
    const read = (name: string) => readFile(join(to, name), 'utf8');
    expect([await read('manifests/csv.yaml'), await read('manifests/crd.yaml')]).toEqual(['new', 'kept']);
    expect(await read('metadata/annotations.yaml')).toBe('new');
  }
});

test('the same again gives the same digest', async () => {
  expect((await build()).digest).toBe((await build()).digest);
});

test.each([
  [{ arches: ['arm64'] }, 'is not offered for arm64'],
  [{ metadata: { opm_version: 'opm-v1.48.0' } }, 'The build metadata .iib-build-metadata.json is not usable'],
  [{ dockerfile: 'FROM scratch\nCOPY ./manifests /manifests\n' }, 'does not copy metadata into the image'],
  [{ dockerfile: 'FROM scratch\nCOPY configs /configs\n' }, 'only manifests and metadata can be copied'],
  [{ dockerfile: 'FROM scratch\nRUN true\n' }, 'RUN is not supported'],
])('refused: %j', async (change, message) => {
  expect(await build(change)).toMatchObject({ code: 1, said: expect.stringContaining(message) });
});

test("a catalog's builder does not take a bundle's repository", async () => {
  const { code, said } = await build({}, (args, env, out) =>
    buildIndexCommand(args, { ...env, INDEXWRIGHT_OPM_DIR: dir }, out),
  );
  expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining('opm_version') });
});
