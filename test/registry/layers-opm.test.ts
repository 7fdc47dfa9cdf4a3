import { execFile } from 'node:child_process';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { extractDirectory } from '../../src/registry/layers.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { SOAK } from '../support/soak.ts';
import { imageByClient, type TarEntry, tarOf, temporaryDirectory } from './fixtures.ts';

const exec = promisify(execFile);
const OPM = join(import.meta.dirname, '../../.tools/bin/opm-v1.48.0');

let dir: string;
let registry: RunningRegistry;
let client: RegistryClient;
let count = 0;

beforeAll(async () => {
  dir = await temporaryDirectory();
  registry = await startRegistry({ dir: join(dir, 'registry') });
  client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
});
afterAll(async () => {
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

/** A file of a catalog that tells by its package's name which of all files it is. */
const blob = (name: string, id: string): TarEntry => ({ name, content: `{"schema":"olm.package","name":"${id}"}\n` });

async function imageOf(layers: readonly (readonly TarEntry[])[]): Promise<string> {
  count += 1;
  const packed = await Promise.all(layers.map(async (entries) => ({ bytes: gzipSync(await tarOf(entries)) })));
  const labels = { 'operators.operatorframework.io.index.configs.v1': '/configs' };
  const spec = `${registry.host}/test/opm:${count}`;
  await imageByClient(client, spec, { architecture: 'amd64', layers: packed, labels });
  return spec;
}

/** Names of the packages opm finds, sorted; null when it refuses the image. */
async function byOpm(spec: string): Promise<string[] | null> {
  try {
    const { stdout } = await exec(OPM, ['render', spec, '--use-http', '-o', 'json'], { cwd: dir, timeout: 60_000 });
    return [...stdout.matchAll(/"name": "(\w+)"/g)].map(([, name]) => name ?? '').sort();
  } catch {
    return null;
  }
}

/** The same by us. Nothing may be anywhere but in the target. */
async function byUs(spec: string): Promise<string[] | null> {
  const cage = join(dir, `cage-${count}`);
  const to = join(cage, 'inner/to');
  try {
    await extractDirectory({ client, image: spec, directory: '/configs', to });
  } catch {
    return null;
  }
  expect(await readdir(cage)).toEqual(['inner']);
  expect(await readdir(join(cage, 'inner'))).toEqual(['to']);
  const names: string[] = [];
  for (const path of await readdir(to, { recursive: true })) {
    const at = join(to, path);
    if ((await stat(at)).isFile())
      names.push(...[...(await readFile(at, 'utf8')).matchAll(/"name":"(\w+)"/g)].map(([, name]) => name ?? ''));
  }
  return names.sort();
}

const SEGMENTS = ['configs', 'a', 'b', 'c', 'x'];
const path = fc.array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
/** A path as tools write it. */
const written = fc.tuple(fc.constantFrom('', '/', './', './/', 'a/../', '/./'), path).map((parts) => parts.join(''));
const target = fc.tuple(fc.constantFrom('', '/', '../', './', '../../../'), path).map((parts) => parts.join(''));
const id = fc.stringMatching(/^\w{8}$/);

const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  { arbitrary: fc.tuple(written, id).map(([name, content]) => blob(name, content)), weight: 5 },
  { arbitrary: fc.tuple(path, id).map(([name, content]) => blob(`configs/${name}`, content)), weight: 3 },
  { arbitrary: written.map((name): TarEntry => ({ name, type: 'directory' })), weight: 2 },
  {
    arbitrary: fc.tuple(written, target).map(([name, linkname]): TarEntry => ({ name, type: 'symlink', linkname })),
    weight: 2,
  },
  {
    arbitrary: fc.tuple(written, path).map(([name, linkname]): TarEntry => ({ name, type: 'link', linkname })),
    weight: 2,
  },
  // Not in the catalog: opm would read it without end.
  { arbitrary: path.map((name): TarEntry => ({ name: `dev/${name}`, type: 'fifo' })), weight: 1 },
);
const whiteout: fc.Arbitrary<TarEntry> = fc
  .tuple(path, fc.constantFrom('.wh..wh..opq', ...SEGMENTS.map((segment) => `.wh.${segment}`)))
  .map(([name, last]) => ({
    name: `${name.split('/').slice(0, -1).join('/')}/${last}`.replace(/^\//, ''),
    content: '',
  }));
/** Whiteouts come first: opm lets one that comes later take away what its own layer has put there. */
const layer = fc
  .tuple(fc.array(whiteout, { maxLength: 2 }), fc.array(entry, { maxLength: 6 }))
  .map(([gone, present]) => [...gone, ...present]);
const image = fc
  .array(layer, { minLength: 1, maxLength: 3 })
  .map((layers) => [[{ name: 'configs', type: 'directory' as const }, blob('configs/first', 'first')], ...layers]);

test(
  'images of random layers are unpacked as opm unpacks them, and nothing else is written',
  async () => {
    let taken = 0;
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(image, async (layers) => {
        const spec = await imageOf(layers);
        const [theirs, ours] = [await byOpm(spec), await byUs(spec)];
        compared += 1;
        // What opm refuses, for an entry that nobody asked for, we may take.
        if (theirs === null) return;
        taken += 1;
        expect(ours).toEqual(theirs);
      }),
      { numRuns: SOAK ? 600 : 15, seed: SOAK ? 20_260 : 7, endOnFailure: true },
    );
    expect(taken / compared).toBeGreaterThan(0.2);
  },
  SOAK ? 3_600_000 : 120_000,
);
