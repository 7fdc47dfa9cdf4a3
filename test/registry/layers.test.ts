import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { DEFAULT_LIMITS, extractDirectories, extractDirectory } from '../../src/registry/layers.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { gzipLayer, type Layer, pushed, type TarEntry, tarOf, temporaryDirectory } from './fixtures.ts';

let dir: string;
let registry: RunningRegistry;
let client: RegistryClient;
let count = 0;

let largeTar: Buffer;

beforeAll(async () => {
  largeTar = await tarOf([{ name: 'manifests/large', content: randomBytes(2_000_000) }]);
  dir = await temporaryDirectory();
  registry = await startRegistry({ dir: join(dir, 'registry') });
  client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
});
afterAll(async () => {
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

const file = (name: string, content = name): TarEntry => ({ name, content });
const folder = (name: string): TarEntry => ({ name, type: 'directory' });

async function imageOf(...layers: (Layer | TarEntry[])[]): Promise<string> {
  count += 1;
  const packed = await Promise.all(layers.map((layer) => (Array.isArray(layer) ? gzipLayer(layer) : layer)));
  const spec = `${registry.host}/test/image:${count}`;
  await pushed(spec, [{ architecture: 'amd64', layers: packed }]);
  return spec;
}

/** Relative path → content of all files below a directory. */
async function filesIn(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of (await readdir(root, { recursive: true })).toSorted()) {
    const at = join(root, path);
    if ((await stat(at)).isFile()) found[path] = await readFile(at, 'utf8');
  }
  return found;
}

async function extracted(image: string, directory = '/manifests', limits = DEFAULT_LIMITS) {
  count += 1;
  const to = join(dir, `out-${count}`);
  await extractDirectory({ client, image, directory, to, limits });
  return filesIn(to);
}

describe('what is in the image', () => {
  test('only the directory, whatever the layers are packed with', async () => {
    const tar = (name: string) => tarOf([folder('manifests/'), file(`./manifests/${name}`, name), file('etc/passwd')]);
    const image = await imageOf(
      { bytes: gzipSync(await tar('gzip')) },
      { bytes: zstdCompressSync(await tar('zstd')), mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' },
      { bytes: await tar('plain'), mediaType: 'application/vnd.oci.image.layer.v1.tar' },
      { bytes: zstdCompressSync(await tar('mislabelled')) },
      {
        bytes: Buffer.concat([
          gzipSync((await tar('members')).subarray(0, 700)),
          gzipSync((await tar('members')).subarray(700)),
        ]),
      },
    );
    expect(await extracted(image)).toEqual({
      gzip: 'gzip',
      zstd: 'zstd',
      plain: 'plain',
      mislabelled: 'mislabelled',
      members: 'members',
    });
  });

  test('zstd in several frames', async () => {
    const tar = await tarOf([
      file('manifests/a', randomBytes(300_000).toString('hex')),
      file('manifests/b', 'b'.repeat(400_000)),
    ]);
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
    const checksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
    const cuts = [0, 1, 600, 70_000, 70_000, 500_000, tar.length];
    const frames = cuts
      .slice(1)
      .flatMap((cut, n) => [zstdCompressSync(tar.subarray(cuts[n], cut), n % 2 ? checksum : {}), skippable]);
    const plain = await extracted(await imageOf({ bytes: gzipSync(tar) }));
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+zstd';
    expect(await extracted(await imageOf({ bytes: Buffer.concat(frames), mediaType }))).toEqual(plain);
    const skippedFirst = { bytes: Buffer.concat([skippable, zstdCompressSync(tar)]), mediaType };
    expect(await extracted(await imageOf(skippedFirst))).toEqual(plain);
  });

  test('an image built by layers: later ones win', async () => {
    const image = await imageOf(
      [
        folder('manifests'),
        file('manifests/a', 'old'),
        file('manifests/dir/b'),
        file('manifests/c'),
        file('manifests/d'),
      ],
      [file('manifests/a', 'new'), file('manifests/dir', 'now a file')],
      [folder('manifests/c'), file('manifests/c/e'), file('manifests/d', 'first'), file('manifests/d', 'last')],
    );
    expect(await extracted(image)).toEqual({ a: 'new', dir: 'now a file', 'c/e': 'manifests/c/e', d: 'last' });
  });

  test('whiteouts hide lower layers only', async () => {
    const image = await imageOf(
      [file('manifests/gone'), file('manifests/kept'), file('manifests/dir/x'), file('manifests/opaque/x')],
      [
        file('manifests/.wh.gone', ''),
        file('manifests/dir/y'),
        file('manifests/.wh.dir', ''),
        file('manifests/opaque/y'),
        file('manifests/opaque/.wh..wh..opq', ''),
        file('manifests/.wh..wh.plnk', ''),
        file('manifests/.wh.', ''),
        file('manifests/.wh...', ''),
        file('manifests/.wh.never', ''),
      ],
    );
    expect(Object.keys(await extracted(image))).toEqual(['dir/y', 'kept', 'opaque/y']);
  });

  test.each([
    ['whited out', file('a/.wh.b', '')],
    ['above whited out', file('.wh.a', '')],
    ['above emptied', file('.wh..wh..opq', '')],
    ['above replaced by a file', file('a', '')],
  ])('the directory itself or %s', async (_, entry) => {
    const lower = [file('a/b/old'), file('x')];
    await expect(extracted(await imageOf(lower, [entry]), '/a/b')).rejects.toMatchObject({
      code: 'image_directory_missing',
      message: expect.stringMatching(/^Failed to extract \/a\/b from .*: there is no directory \/a\/b in it$/),
    });
    expect(await extracted(await imageOf(lower, [entry], [file('a/b/new')]), '/a/b')).toEqual({ new: 'a/b/new' });
  });

  test('the directory emptied stays', async () => {
    expect(await extracted(await imageOf([file('a/b/old')], [file('a/b/.wh..wh..opq', '')]), '/a/b')).toEqual({});
  });

  test('several directories in one pass; links elsewhere do not matter', async () => {
    const image = await imageOf([
      { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
      { name: 'dev/null', type: 'character-device' },
      file('manifests/a'),
      file('metadata/b'),
      file('manifests2/c'),
    ]);
    const [one, two] = [join(dir, 'several/one'), join(dir, 'several/two')];
    await extractDirectories({ client, image, directories: { '/manifests/': one, '//metadata/./': two } });
    expect([await filesIn(one), await filesIn(two)]).toEqual([{ a: 'manifests/a' }, { b: 'metadata/b' }]);
  });

  test('of a list, linux/amd64', async () => {
    const platform = async (architecture: string) => ({
      architecture,
      layers: [await gzipLayer([file('manifests/arch', architecture)])],
    });
    const spec = `${registry.host}/test/list:one`;
    const digest = await pushed(spec, [await platform('s390x'), await platform('amd64')]);
    expect(await extracted(`${registry.host}/test/list@${digest}`)).toEqual({ arch: 'amd64' });
  });

  test('large files and many small ones', async () => {
    const large = randomBytes(3_000_000).toString('hex');
    const small = Array.from({ length: 2000 }, (_, n) => file(`manifests/${n % 40}/${n}`));
    const found = await extracted(await imageOf([...small, file('manifests/large', large)]));
    expect(Object.keys(found).length).toBe(2001);
    expect(found.large).toBe(large);
  });
});

describe('what is refused, with nothing left behind', () => {
  const ok = file('manifests/ok');
  const link = (name: string, linkname: string, type: 'symlink' | 'link' = 'symlink') => ({ name, type, linkname });

  test.each<[string, TarEntry[], string]>([
    ['..', [ok, file('manifests/../../evil')], 'not below its root'],
    ['.. elsewhere', [ok, file('etc/../../evil')], 'not below its root'],
    ['an absolute name', [ok, file('/manifests/evil')], 'not below its root'],
    ['a symbolic link', [link('manifests/x', '/etc'), file('manifests/x/passwd')], 'neither a file nor a directory'],
    ['a hard link', [link('manifests/x', '/etc/passwd', 'link')], 'neither a file nor a directory'],
    [
      'the directory as a link',
      [link('manifests', '/etc'), file('manifests/passwd')],
      'neither a file nor a directory',
    ],
    ['a device', [ok, { name: 'manifests/null', type: 'character-device' }], 'neither a file nor a directory'],
    ['a pipe', [ok, { name: 'manifests/pipe', type: 'fifo' }], 'neither a file nor a directory'],
    ['a deep path', [ok, file(`manifests/${'d/'.repeat(40)}x`)], 'more than 32 segments'],
    ['a long name', [ok, file(`manifests/${'x'.repeat(300)}`)], 'no file system takes'],
  ])('%s', async (_, entries, reason) => {
    const image = await imageOf(entries);
    const to = join(dir, `refused-${count}`);
    await expect(extractDirectory({ client, image, directory: '/manifests', to })).rejects.toMatchObject({
      code: 'image_unreadable',
      message: expect.stringContaining(reason),
    });
    await expect(stat(to)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a link on the way to the directory', async () => {
    await expect(extracted(await imageOf([link('a', 'b'), file('b/c/x')]), '/a/c')).rejects.toThrow('a is neither');
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
    const many = Array.from({ length: 5000 }, (_, n) => file(`manifests/${n}`, ''));
    const whiteouts = Array.from({ length: 5000 }, () => file('manifests/.wh..wh..opq', ''));
    expect(Object.keys(await extracted(await imageOf([file('manifests/old')], [...many, ...whiteouts]))).length).toBe(
      5000,
    );
  });

  test.each<[string, (tar: Buffer) => Buffer]>([
    ['cut gzip', (tar) => gzipSync(tar).subarray(0, -20)],
    ['broken gzip', (tar) => Buffer.concat([gzipSync(tar).subarray(0, 30), randomBytes(500)])],
    ['broken zstd', (tar) => Buffer.concat([zstdCompressSync(tar).subarray(0, 30), randomBytes(500)])],
    ['cut tar', (tar) => gzipSync(tar.subarray(0, 700))],
    ['cut tar within a large file', () => gzipSync(largeTar.subarray(0, 1_500_000))],
    ['not a tar', () => randomBytes(5000)],
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
    await expect(extracted(`${registry.host}/test/nothing:here`)).rejects.toMatchObject({ code: 'image_not_found' });
    const image = await imageOf([file('manifests/a')]);
    await expect(extracted(image, 'manifests')).rejects.toThrow(
      "src_path must be an absolute image path, got 'manifests'",
    );
    await expect(extracted(image, '/')).rejects.toThrow("src_path must name a directory under /, got '/'");
    await expect(extracted(image, '/a/../..')).rejects.toThrow('src_path must name a directory under /');
  });

  test('a target that is not empty is left alone', async () => {
    const to = join(dir, 'full');
    await mkdir(to);
    await writeFile(join(to, 'mine'), 'mine');
    const image = await imageOf([file('manifests/a')]);
    await expect(extractDirectory({ client, image, directory: '/manifests', to })).rejects.toThrow('over other files');
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
