import { chmod, mkdir, mkdtemp, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeLayer, normaliseModes } from '../../src/builder/layer.ts';
import { run } from '../../src/process/run.ts';
import { identifyFile } from '../../src/registry/digest.ts';

const LONG = `${'long-'.repeat(30)}name`;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-layer-test-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** The same tree, made in an order of its own. */
async function tree(name: string, order: 'forward' | 'backward'): Promise<string> {
  const root = join(dir, name);
  const files = [`${LONG}/${LONG}/catalog.json`, 'b/catalog.json', 'a/catalog.json', '.gitkeep'];
  for (const file of order === 'forward' ? files : files.toReversed()) {
    const path = join(root, file);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, `content of ${file}\n`.repeat(1000), { mode: order === 'forward' ? 0o600 : 0o664 });
  }
  await symlink('a', join(root, 'link'));
  await utimes(join(root, 'a'), 1, order === 'forward' ? 1000 : 2000);
  return root;
}

test('equal trees give equal layers, whatever the order, times and modes of the checkout', async () => {
  const layers = [];
  for (const order of ['forward', 'backward'] as const) {
    const from = await tree(order, order);
    await normaliseModes(from);
    layers.push(await makeLayer({ from, target: '/configs', uid: 0, gid: 0 }, join(dir, `${order}.tar.gz`)));
  }
  const [one, two] = layers;
  expect(one?.digest).toBe(two?.digest);
  expect(one?.diffId).toBe(two?.diffId);
  expect(await identifyFile(one?.file ?? '')).toEqual({ digest: one?.digest, size: one?.size });
});

test('a layer unpacks to what was packed', async () => {
  const from = await tree('original', 'forward');
  await normaliseModes(from);
  await chmod(join(from, 'b'), 0o770);
  const layer = await makeLayer({ from, target: '/tmp/cache', uid: 1001, gid: 0 }, join(dir, 'layer.tar.gz'));

  const unpacked = join(dir, 'unpacked');
  await mkdir(unpacked);
  await run('tar', ['-xpf', layer.file, '-C', unpacked, '--no-same-owner'], { timeout: 10_000 });
  const difference = await run('diff', ['-r', from, join(unpacked, 'tmp/cache')], { timeout: 10_000 });
  expect(difference).toMatchObject({ exitCode: 0, stdout: '' });
  expect((await stat(join(unpacked, 'tmp/cache/b'))).mode & 0o7777).toBe(0o770);

  const listed = await run('tar', ['-tvf', layer.file, '--numeric-owner'], { timeout: 10_000 });
  const lines = listed.stdout.trim().split('\n');
  // The parent belongs to the base image.
  expect(lines[0]).toMatch(/^drwxr-xr-x 1001\/0 .* tmp\/cache\/$/);
  expect(lines.every((line) => line.includes(' 1001/0 ') && line.includes('1970-01-01'))).toBe(true);
  expect(lines).toHaveLength(10);
});
