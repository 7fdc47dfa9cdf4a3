import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { extractDirectories } from '../../src/registry/layers.ts';
import { gzipLayer, type Layer, pushed, type TarEntry, tarOf } from './fixtures.ts';
import { file, filesIn, folder, hardLink, type LayersWorld, startLayersWorld, symlink } from './layers-world.ts';
import { header, padded, rawTar } from './raw-tar.ts';

let world: LayersWorld;
let imageOf: LayersWorld['imageOf'];
let extracted: LayersWorld['extracted'];

beforeAll(async () => {
  world = await startLayersWorld();
  ({ imageOf, extracted } = world);
});
afterAll(() => world?.close());

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

  test.each<[string, (TarEntry[] | Layer)[]]>([
    ['an entry for the root', [[folder('/'), file('manifests/a', 'a')]]],
    ['an entry for the root as ./', [[folder('./'), folder('./manifests'), file('./manifests/a', 'a')]]],
    ['leading slashes', [[folder('//manifests/'), file('/manifests/a', 'a')]]],
    ['.. that stays inside', [[file('etc/../manifests/./a', 'a')], [file('x/y/../../manifests//a', 'a')]]],
    ['no magic', [{ bytes: padded(header({ name: 'manifests/a', size: 1, magic: '' }), 'a') }]],
    ['a directory after its files', [[file('manifests/a', 'a'), folder('manifests/')]]],
    ['an entry twice', [[file('manifests/a', 'x'), file('manifests/a', 'a')]]],
    [
      'a directory in place of a link to one',
      [
        [folder('d'), file('d/x'), symlink('manifests', 'd')],
        [folder('manifests'), file('manifests/a', 'a')],
      ],
    ],
    [
      'a hard link inside',
      [
        [file('manifests/a', 'a'), file('manifests/b', 'b'), hardLink('manifests/b', 'manifests/a')],
        [file('manifests/.wh.b', '')],
      ],
    ],
    ['a hard link to elsewhere', [[file('etc/x', 'a'), hardLink('manifests/a', 'etc/x')]]],
    ['a hard link with a leading slash', [[file('etc/x', 'a'), hardLink('manifests/a', '/etc/x')]]],
    ['a hard link to a lower layer', [[file('etc/x', 'a')], [file('etc/other')], [hardLink('manifests/a', './etc/x')]]],
    [
      'a hard link to a file that is gone later',
      [[file('etc/x', 'a'), hardLink('manifests/a', 'etc/x')], [file('etc/.wh.x', '')]],
    ],
    ['a hard link to what it was then', [[file('etc/x', 'a'), hardLink('manifests/a', 'etc/x'), file('etc/x', 'new')]]],
    ['a hard link from elsewhere', [[file('manifests/a', 'a'), hardLink('etc/x', 'manifests/a')]]],
    [
      'a hard link to a symbolic link',
      [
        [file('etc/x', 'a'), symlink('etc/l', 'x'), folder('manifests')],
        [hardLink('manifests/a', 'etc/l'), file('manifests/x', 'a')],
        [file('manifests/.wh.x', ''), file('manifests/x', 'a')],
        [file('manifests/a', 'a'), file('manifests/.wh.x', '')],
      ],
    ],
    ['a symbolic link to elsewhere', [[file('etc/x', 'a'), symlink('manifests/a', '../etc/x')]]],
    ['an absolute symbolic link, inside the root', [[file('etc/x', 'a'), symlink('manifests/a', '/etc/x')]]],
    ['a symbolic link that climbs above the root', [[file('etc/x', 'a'), symlink('manifests/a', '../../../etc/x')]]],
    [
      'a chain of links, the file last',
      [[symlink('manifests/a', '../l'), symlink('l', 'm/x')], [symlink('m', 'etc')], [file('etc/x', 'a')]],
    ],
    ['the directory by a link', [[symlink('manifests', 'data/v1'), file('data/v1/a', 'a')]]],
    ['the directory by an absolute link', [[symlink('manifests', '/data')], [file('data/a', 'a')]]],
    ['files put through a link', [[symlink('manifests', 'data'), folder('data')], [file('manifests/a', 'a')]]],
    ['files put through a link to nothing yet', [[symlink('manifests', 'data')], [file('manifests/a', 'a')]]],
    [
      'files put from elsewhere through a link',
      [[folder('manifests'), symlink('link', 'manifests')], [file('link/a', 'a')]],
    ],
    [
      'a whiteout through a link',
      [[file('manifests/a', 'a'), file('manifests/b'), symlink('l', '/manifests')], [file('l/.wh.b', '')]],
    ],
    [
      'devices, pipes, dead links and deep paths elsewhere',
      [
        [
          { name: 'dev/null', type: 'character-device' },
          { name: 'dev/sda', type: 'block-device' },
          { name: 'run/pipe', type: 'fifo' },
          hardLink('x', 'nowhere'),
          symlink('y', '/nowhere'),
          file(`${'d/'.repeat(300)}x`),
          file(`etc/${'n'.repeat(300)}`),
          file(`etc/${'path/'.repeat(1000)}`),
          file('manifests/a', 'a'),
          file('gr\u00fcn'),
        ],
      ],
    ],
    [
      'a device that is gone later',
      [
        [{ name: 'manifests/a', type: 'character-device' }, hardLink('manifests/b', 'nowhere')],
        [file('manifests/a', 'a'), file('manifests/.wh.b', '')],
      ],
    ],
    [
      'extended attributes and times before 1970',
      [
        [
          {
            name: 'manifests/a',
            content: 'a',
            mtime: new Date(-86_400_000),
            pax: { 'SCHILY.xattr.user.x': 'y', mtime: '-86400.5' },
          },
        ],
      ],
    ],
    [
      'a sparse file',
      [
        {
          bytes: rawTar(
            ['GNU.sparse.map=0,1', 'GNU.sparse.numblocks=1', 'GNU.sparse.size=1', 'GNU.sparse.name=manifests/a'],
            'a',
          ),
        },
      ],
    ],
    [
      'anything after the end',
      [
        {
          bytes: gzipSync(
            Buffer.concat([
              padded(header({ name: 'manifests/a', size: 1 }), 'a'),
              Buffer.alloc(1024),
              randomBytes(700),
            ]),
          ),
        },
      ],
    ],
    [
      'no end, and a media type that lies',
      [
        {
          bytes: padded(header({ name: 'manifests/a', size: 1 }), 'a'),
          mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
        },
      ],
    ],
  ])('%s', async (_, layers) => {
    expect(await extracted(await imageOf(...layers))).toEqual({ a: 'a' });
  });

  test('files that were one in the image are two on disk', async () => {
    const image = await imageOf([
      file('manifests/a', 'a'),
      hardLink('metadata/b', 'manifests/a'),
      symlink('metadata/c', 'b'),
    ]);
    const [one, two] = [join(world.dir, 'linked/one'), join(world.dir, 'linked/two')];
    await extractDirectories({ client: world.client, image, directories: { '/manifests': one, '/metadata': two } });
    await writeFile(join(one, 'a'), 'changed');
    expect(await filesIn(two)).toEqual({ b: 'a', c: 'a' });
  });

  test('a large file that a link leads to', async () => {
    const large = randomBytes(600_000).toString('hex');
    const image = await imageOf(
      [file('before'), file('etc/x', large), file('after')],
      [symlink('manifests/a', '/etc/x')],
    );
    expect(await extracted(image)).toEqual({ a: large });
  });

  test('several directories in one pass; links elsewhere do not matter', async () => {
    const image = await imageOf([
      { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
      { name: 'dev/null', type: 'character-device' },
      file('manifests/a'),
      file('metadata/b'),
      file('manifests2/c'),
    ]);
    const [one, two] = [join(world.dir, 'several/one'), join(world.dir, 'several/two')];
    await extractDirectories({
      client: world.client,
      image,
      directories: { '/manifests/': one, '//metadata/./': two },
    });
    expect([await filesIn(one), await filesIn(two)]).toEqual([{ a: 'manifests/a' }, { b: 'metadata/b' }]);
  });

  test('of a list, linux/amd64', async () => {
    const platform = async (architecture: string) => ({
      architecture,
      layers: [await gzipLayer([file('manifests/arch', architecture)])],
    });
    const spec = `${world.registry.host}/test/list:one`;
    const digest = await pushed(spec, [await platform('s390x'), await platform('amd64')]);
    expect(await extracted(`${world.registry.host}/test/list@${digest}`)).toEqual({ arch: 'amd64' });
  });

  test('large files and many small ones', async () => {
    const large = randomBytes(3_000_000).toString('hex');
    const small = Array.from({ length: 2000 }, (_, n) => file(`manifests/${n % 40}/${n}`));
    const found = await extracted(await imageOf([...small, file('manifests/large', large)]));
    expect(Object.keys(found).length).toBe(2001);
    expect(found.large).toBe(large);
  });
});
