import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTar } from '../../src/registry/tar.ts';
import { TarError } from '../../src/registry/tar-header.ts';
import { tarOf, temporaryDirectory } from './fixtures.ts';
import { header, padded, rawTar } from './raw-tar.ts';

const exec = promisify(execFile);
let dir: string;

beforeAll(async () => {
  dir = await temporaryDirectory();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Chunks that end anywhere, as they come from a network. */
async function* inChunks(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Name → type and content of all entries. */
async function entriesOf(bytes: Buffer, length = 700): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const entry of readTar(inChunks(bytes, length))) {
    const content: Buffer[] = [];
    if (entry.type === 'file') for await (const chunk of entry.content()) content.push(chunk);
    const says = entry.type === 'file' ? Buffer.concat(content).toString('latin1') : `→${entry.linkName}`;
    found[Buffer.from(entry.name, 'latin1').toString()] = entry.type === 'file' ? says : `${entry.type} ${says}`;
  }
  return found;
}

describe('archives of real programs', () => {
  const long = `${'long-name-'.repeat(12)}.yaml`;
  const deep = `${'directory/'.repeat(13)}file`;
  const unicode = 'Größe-名前.yaml';
  let files: Record<string, string>;
  let tree: string;

  beforeAll(async () => {
    tree = join(dir, 'tree');
    files = { short: 'short', empty: '', exact: 'x'.repeat(512), large: randomBytes(200_000).toString('latin1') };
    await mkdir(join(tree, deep, '..'), { recursive: true });
    for (const [name, content] of Object.entries({ ...files, [long]: 'long', [deep]: 'deep', [unicode]: 'unicode' })) {
      await writeFile(join(tree, name), content, 'latin1');
    }
    const holes = join(tree, 'holes');
    await writeFile(holes, 'start');
    await truncate(holes, 3_000_000);
    for (let at = 1; at < 12; at += 1) {
      await writeFile(holes, `data ${at}`, { flag: 'r+' });
      await exec('dd', [`of=${holes}`, 'conv=notrunc', 'bs=1', `seek=${at * 200_000}`, `if=${join(tree, 'short')}`]);
    }
    await link(join(tree, 'short'), join(tree, 'short-link'));
    await symlink('short', join(tree, 'symlink'));
  });

  /** What there is on disk, as the names of the archive. */
  async function expected(names: readonly string[]): Promise<Record<string, string>> {
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(tree, name), 'latin1')])),
    );
  }

  test.each([
    ['GNU tar', ['--format=gnu'], true],
    ['GNU tar, sparse', ['--format=gnu', '--sparse'], true],
    ['old GNU tar, sparse', ['--format=oldgnu', '--sparse'], true],
    ['POSIX tar', ['--format=pax'], true],
    ['POSIX tar, sparse 0.0', ['--format=pax', '--sparse', '--sparse-version=0.0'], true],
    ['POSIX tar, sparse 0.1', ['--format=pax', '--sparse', '--sparse-version=0.1'], true],
    ['POSIX tar, sparse 1.0', ['--format=pax', '--sparse', '--sparse-version=1.0'], true],
    ['POSIX tar, long owners and times before 1970', ['--format=pax', '--owner=a:4294967290', '--mtime=@-5'], true],
    ['GNU tar, numbers in base 256', ['--format=gnu', '--owner=a:4294967290', '--mtime=@-5'], true],
    ['ustar', ['--format=ustar'], false],
    ['seventh edition', ['--format=v7'], false],
  ])('%s', async (_, options, takesAll) => {
    const names = [...Object.keys(files), 'holes', ...(takesAll ? [long, deep, unicode] : [])];
    const file = join(dir, 'archive.tar');
    await exec('tar', [
      ...options,
      '-C',
      tree,
      '-cf',
      file,
      '--no-recursion',
      ...names,
      'short-link',
      'symlink',
      'directory',
    ]);
    const found = await entriesOf(await readFile(file));
    expect(found).toMatchObject(await expected(names));
    expect(found).toMatchObject({ 'short-link': 'link →short', symlink: 'symlink →short' });
    expect(found['directory/']).toMatch(/^directory/);
  });

  test.each(['USTAR_FORMAT', 'GNU_FORMAT', 'PAX_FORMAT'])('Python %s', async (format) => {
    const names = [...Object.keys(files), ...(format === 'USTAR_FORMAT' ? [] : [long, deep, unicode])];
    const program = `
import sys, tarfile
tar = tarfile.open(sys.argv[1], 'w', format=tarfile.${format})
for name in sys.argv[3:]: tar.add(sys.argv[2] + '/' + name, arcname=name, recursive=False)
tar.close()`;
    const file = join(dir, 'python.tar');
    await exec('python3', ['-c', program, file, tree, ...names, 'directory']);
    expect(await entriesOf(await readFile(file))).toMatchObject(await expected(names));
  });
});

describe('forms', () => {
  const one = padded(header({ name: 'one', size: 3 }), 'one');
  const two = padded(header({ name: 'two', size: 3 }), 'two');
  const end = Buffer.alloc(1024);
  const both = { one: 'one', two: 'two' };

  test.each<[string, Buffer, Record<string, string>]>([
    ['no end', Buffer.concat([one, two]), both],
    ['half an end', Buffer.concat([one, two, Buffer.alloc(512)]), both],
    ['an end padded to a record', Buffer.concat([one, two, Buffer.alloc(10240)]), both],
    ['anything after the end', Buffer.concat([one, two, end, randomBytes(999)]), both],
    ['another archive after the end, which nobody reads', Buffer.concat([one, end, two, end]), { one: 'one' }],
    ['no padding after the last entry', Buffer.concat([one, two.subarray(0, 515)]), both],
    ['nothing', Buffer.alloc(0), {}],
    ['only an end', end, {}],
    ['no magic', Buffer.concat([padded(header({ name: 'one', size: 3, magic: '' }), 'one'), end]), { one: 'one' }],
    [
      'a checksum of signed bytes',
      Buffer.concat([padded(header({ name: 'größe', size: 3, checksum: 'signed' }), 'one'), end]),
      { größe: 'one' },
    ],
    [
      'a size in base 256',
      Buffer.concat([padded(header({ name: 'one', size: 3, binary: true }), 'one')]),
      { one: 'one' },
    ],
    [
      'types without content that name a size',
      Buffer.concat([header({ name: 'd/', type: '5', size: 900 }), header({ name: 'l', type: '1', size: 9 }), one]),
      { 'd/': 'directory →', l: 'link →', one: 'one' },
    ],
    [
      'a directory told by its slash',
      Buffer.concat([header({ name: 'd/', type: '\0' }), header({ name: 'e/', type: '0' }), one]),
      { 'd/': 'directory →', 'e/': 'directory →', one: 'one' },
    ],
    [
      'types of other programs',
      Buffer.concat([
        padded(header({ name: 'v', type: 'V', size: 3 }), 'vol'),
        padded(header({ name: '7', type: '7', size: 1 }), '7'),
      ]),
      { v: 'other →', 7: '7' },
    ],
    ['a prefix', Buffer.concat([padded(header({ name: 'one', prefix: 'a/b', size: 3 }), 'one')]), { 'a/b/one': 'one' }],
    [
      'a prefix that Go before 1.8 wrote into a GNU header',
      Buffer.concat([padded(header({ name: 'one', prefix: 'some/where', magic: 'ustar  \0', size: 3 }), 'one')]),
      { 'some/where/one': 'one' },
    ],
    [
      'a global header says nothing to the entries',
      Buffer.concat([padded(header({ name: 'g', type: 'g', size: 14 }), '14 path=other\n'), one]),
      { one: 'one' },
    ],
    [
      'an empty record keeps the name',
      Buffer.concat([padded(header({ name: 'x', type: 'x', size: 8 }), '8 path=\n'), one]),
      { one: 'one' },
    ],
  ])('%s', async (_, bytes, entries) => {
    for (const length of [1, 511, 512, 100_000]) expect(await entriesOf(bytes, length)).toEqual(entries);
  });

  test.each<[string, Buffer]>([
    ['a header cut off', Buffer.concat([one, two.subarray(0, 200)])],
    ['content cut off', Buffer.concat([one, two.subarray(0, 514)])],
    ['a wrong checksum', Buffer.concat([one, Buffer.alloc(512, 'x')])],
    ['one block of zeros amid entries', Buffer.concat([one, Buffer.alloc(512), two])],
    ['a negative size', padded(header({ name: 'one', size: -1, binary: true }), '')],
    ['a size that is no number', padded(header({ name: 'one', rawSize: '12x' }), '')],
    ['an extended header without a line end', padded(header({ name: 'x', type: 'x', size: 8 }), '8 path=a')],
    ['an extended header with a wrong length', padded(header({ name: 'x', type: 'x', size: 8 }), '9 path=\n')],
    ['a name with NUL', Buffer.concat([padded(header({ name: 'x', type: 'x', size: 11 }), '11 path=a\0\n'), one])],
    [
      'a sparse map beyond the file',
      rawTar(['GNU.sparse.map=0,9', 'GNU.sparse.numblocks=1', 'GNU.sparse.size=3'], 'one'),
    ],
    [
      'a sparse map out of order',
      rawTar(['GNU.sparse.map=2,1,0,1', 'GNU.sparse.numblocks=2', 'GNU.sparse.size=3'], 'on'),
    ],
    [
      'more data than the sparse map has',
      rawTar(['GNU.sparse.map=0,1', 'GNU.sparse.numblocks=1', 'GNU.sparse.size=9'], 'one'),
    ],
    [
      'a sparse map of another length',
      rawTar(['GNU.sparse.map=0,3,5,1', 'GNU.sparse.numblocks=1', 'GNU.sparse.size=9'], 'one'),
    ],
  ])('%s is refused', async (_, bytes) => {
    for (const length of [1, 513, 100_000]) await expect(entriesOf(bytes, length)).rejects.toThrow(TarError);
  });

  test('files that are not read are skipped', async () => {
    const bytes = await tarOf([
      { name: 'a', content: 'a'.repeat(70_000) },
      { name: 'b', content: 'b' },
    ]);
    const names: string[] = [];
    for await (const { name } of readTar(inChunks(bytes, 4096))) names.push(name);
    expect(names).toEqual(['a', 'b']);
  });
});
