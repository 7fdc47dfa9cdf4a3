import { randomBytes } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS, extractDirectory } from '../../src/registry/layers.ts';
import { type TarEntry, tarOf } from './fixtures.ts';
import { file, filesIn, folder, hardLink, type LayersWorld, startLayersWorld, symlink } from './layers-world.ts';
import { header, padded, rawTar } from './raw-tar.ts';

let world: LayersWorld;
let imageOf: LayersWorld['imageOf'];
let largeTar: Buffer;
let extracted: LayersWorld['extracted'];

beforeAll(async () => {
  world = await startLayersWorld();
  ({ imageOf, extracted } = world);
  largeTar = await tarOf([file('manifests/large', randomBytes(1_000_000).toString('hex'))]);
});
afterAll(() => world?.close());

describe('what is refused, with nothing left behind', () => {
  const ok = file('manifests/ok');

  test.each<[string, TarEntry[], string]>([
    ['..', [ok, file('manifests/../../evil')], 'not below its root'],
    ['.. elsewhere', [ok, file('etc/../../evil')], 'not below its root'],
    ['.. of the root', [ok, file('../evil')], 'not below its root'],
    ['.. behind a slash', [ok, file('/../evil')], 'not below its root'],
    ['.. itself', [ok, folder('..')], 'not below its root'],
    [
      'a symbolic link to a directory',
      [symlink('manifests/x', '/etc'), file('manifests/x/passwd')],
      'manifests/x is a symbolic link to /etc, which is not a file',
    ],
    ['a symbolic link to a file of the host', [ok, symlink('manifests/x', '/etc/passwd')], 'which is not in the image'],
    [
      'a symbolic link out of the root',
      [ok, symlink('manifests/x', '../../../etc/passwd')],
      'which is not in the image',
    ],
    ['a symbolic link to itself', [ok, symlink('manifests/x', 'x')], 'which is not in the image'],
    ['a hard link to a file of the host', [ok, hardLink('manifests/x', '/etc/passwd')], 'no file of the image'],
    ['a hard link out of the root', [ok, hardLink('manifests/x', '../etc/passwd')], 'no file of the image'],
    ['a hard link to a directory', [ok, folder('d'), hardLink('manifests/x', 'd')], 'no file of the image'],
    ['a hard link before its file', [hardLink('manifests/x', 'manifests/ok'), ok], 'no file of the image'],
    ['a hard link to a device', [{ name: 'dev', type: 'fifo' }, hardLink('manifests/x', 'dev')], 'neither a file'],
    ['a device', [ok, { name: 'manifests/null', type: 'character-device' }], 'neither a file nor a directory'],
    ['a pipe', [ok, { name: 'manifests/pipe', type: 'fifo' }], 'neither a file nor a directory'],
    ['a deep path', [ok, file(`manifests/${'d/'.repeat(40)}x`)], 'more than 32 segments'],
    ['a long name', [ok, file(`manifests/${'x'.repeat(300)}`)], 'no file system takes'],
  ])('%s', async (_, entries, reason) => {
    const image = await imageOf(entries);
    const to = await world.newDirectory();
    await expect(extractDirectory({ client: world.client, image, directory: '/manifests', to })).rejects.toMatchObject({
      code: 'image_unreadable',
      message: expect.stringContaining(reason),
    });
    expect(await readdir(dirname(to))).toEqual([]);
  });

  test('a name that is not UTF-8', async () => {
    const bytes = Buffer.concat([padded(header({ name: 'manifests/gr\xfcn', latin1: true }), '')]);
    await expect(extracted(await imageOf({ bytes }))).rejects.toThrow('in /manifests is a name that is not UTF-8');
  });

  test('links that lead around without end', async () => {
    const around = [symlink('a', 'b'), symlink('b', 'a'), file('a/x'), folder('manifests')];
    expect(await extracted(await imageOf(around))).toEqual({});
    await expect(extracted(await imageOf(around), '/a')).rejects.toMatchObject({ code: 'image_directory_missing' });
    const far = 'x/../'.repeat(700);
    const long = Array.from({ length: 20 }, (_, n) => symlink(`l${n}`, `${far}l${n + 1}`));
    const many = [folder('x'), ...long, ...Array.from({ length: 300 }, (_, n) => file(`l0/${n}`))];
    await expect(extracted(await imageOf(many), '/x', { ...DEFAULT_LIMITS, steps: 100_000 })).rejects.toThrow(
      'too long to be followed',
    );
  });

  test('directories without end that names imply', async () => {
    const deep = Array.from({ length: 10 }, (_, n) => file(`${n}/${'d/'.repeat(100)}x`));
    await expect(extracted(await imageOf(deep), '/0', { ...DEFAULT_LIMITS, entries: 500 })).rejects.toThrow(
      'more than 500 entries',
    );
    await expect(extracted(await imageOf(deep), '/0', { ...DEFAULT_LIMITS, names: 500 })).rejects.toThrow('too long');
  });

  test('a sparse file larger than what is kept', async () => {
    const records = ['GNU.sparse.map=0,1', 'GNU.sparse.numblocks=1', 'GNU.sparse.size=900000000'];
    const sparse = { bytes: rawTar([...records, 'GNU.sparse.name=manifests/x'], 'x') };
    await expect(extracted(await imageOf([ok], sparse))).rejects.toThrow('larger than 536870912 bytes');
    const elsewhere = { bytes: rawTar([...records, 'GNU.sparse.name=other/x'], 'x') };
    expect(await extracted(await imageOf([ok], elsewhere))).toEqual({ ok: 'manifests/ok' });
  });

  test('a bomb', async () => {
    const image = await imageOf([{ name: 'manifests/zeros', content: Buffer.alloc(20_000_000) }]);
    await expect(extracted(image, '/manifests', { ...DEFAULT_LIMITS, bytes: 1_000_000 })).rejects.toMatchObject({
      code: 'image_unreadable',
      message: expect.stringContaining('larger than 1000000 bytes'),
    });
    const elsewhere = await imageOf([file('manifests/ok'), { name: 'zeros', content: Buffer.alloc(20_000_000) }]);
    await expect(extracted(elsewhere, '/manifests', { ...DEFAULT_LIMITS, bytes: 1_000_000 })).rejects.toThrow('larger');
  });

  test('too many entries', async () => {
    const image = await imageOf(Array.from({ length: 120 }, (_, n) => file(`other/${n}`, '')));
    await expect(extracted(image, '/manifests', { ...DEFAULT_LIMITS, entries: 100 })).rejects.toThrow(
      'more than 100 entries',
    );
  });

  test('whiteouts repeated without end cost little', async () => {
    const many = Array.from({ length: 2000 }, (_, n) => file(`manifests/${n}`, ''));
    const whiteouts = Array.from({ length: 2000 }, () => file('manifests/.wh..wh..opq', ''));
    expect(Object.keys(await extracted(await imageOf([file('manifests/old')], [...many, ...whiteouts]))).length).toBe(
      2000,
    );
  });

  test.each<[string, (tar: Buffer) => Buffer]>([
    ['cut gzip', (tar) => gzipSync(tar).subarray(0, -20)],
    ['broken gzip', (tar) => Buffer.concat([gzipSync(tar).subarray(0, 30), randomBytes(500)])],
    ['broken zstd', (tar) => Buffer.concat([zstdCompressSync(tar).subarray(0, 30), randomBytes(500)])],
    ['cut tar', (tar) => gzipSync(tar.subarray(0, 700))],
    ['cut tar within a large file', () => gzipSync(largeTar.subarray(0, 1_500_000))],
    ['not a tar', () => randomBytes(2000)],
    ['an endless header', () => gzipSync(endlessHeader())],
  ])('%s', async (_, pack) => {
    const bytes = pack(await tarOf([file('manifests/a', 'x'.repeat(2000))]));
    await expect(extracted(await imageOf({ bytes }))).rejects.toMatchObject({
      code: 'image_unreadable',
      message: expect.stringContaining('a layer is damaged'),
    });
  });

  test('an empty layer says nothing', async () => {
    expect(await extracted(await imageOf([file('manifests/a', 'a')], { bytes: gzipSync('') }))).toEqual({ a: 'a' });
    expect(await extracted(await imageOf([file('manifests/a', 'a')], { bytes: Buffer.alloc(0) }))).toEqual({ a: 'a' });
  });

  test('no layers, no such image, no such path', async () => {
    await expect(extracted(await imageOf())).rejects.toThrow('it has no layers');
    await expect(extracted(`${world.registry.host}/test/nothing:here`)).rejects.toMatchObject({
      code: 'image_not_found',
    });
    const image = await imageOf([file('manifests/a')]);
    await expect(extracted(image, 'manifests')).rejects.toThrow(
      "src_path must be an absolute image path, got 'manifests'",
    );
    await expect(extracted(image, '/')).rejects.toThrow("src_path must name a directory under /, got '/'");
    await expect(extracted(image, '/a/../..')).rejects.toThrow('src_path must name a directory under /');
  });

  test('a target that is not empty is left alone', async () => {
    const to = await world.newDirectory();
    await mkdir(to);
    await writeFile(join(to, 'mine'), 'mine');
    const image = await imageOf([file('manifests/a')]);
    await expect(extractDirectory({ client: world.client, image, directory: '/manifests', to })).rejects.toThrow(
      'over other files',
    );
    expect(await filesIn(to)).toEqual({ mine: 'mine' });
  });
});

/** A name of a hundred megabytes, as a pax header. */
function endlessHeader(): Buffer {
  const header = Buffer.alloc(512);
  header.write('pax', 0);
  header.write('0000644\0', 100);
  header.write(`${(100_000_000).toString(8).padStart(11, '0')}\0`, 124);
  header.write('        ', 148);
  header.write('x', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, Buffer.alloc(10_000_000, 'x')]);
}
