import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

/** A gzipped tar on disk, ready to be pushed. */
export interface Layer {
  file: string;
  /** Bytes of the gzipped file. */
  size: number;
  /** sha256 of the gzipped file; the blob's name in the registry. */
  digest: string;
  /** sha256 of the tar inside; what image configurations list. */
  diffId: string;
}

export interface LayerRoot {
  /** Directory on disk. */
  from: string;
  /** Absolute path in the image. */
  target: string;
  uid: number;
  gid: number;
  /** gzip level; 6 unless given. */
  level?: number;
}

/** Gives every directory below (and with) `root` mode 0755 and every file 0644, so that no checkout's umask shows in the image. */
export async function normaliseModes(root: string): Promise<void> {
  await chmod(root, 0o755);
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) await normaliseModes(path);
    else if (entry.isFile()) await chmod(path, 0o644);
  }
}

/**
 * Packs directories into one layer. Equal content gives equal bytes: names sorted, times zero, owners as given; modes
 * are those on disk. Parents of a target are left out, since they would replace the base image's (a /tmp without its
 * sticky bit).
 *
 * @param file where the gzipped tar is written
 */
export async function makeLayer(root: LayerRoot, file: string): Promise<Layer> {
  const tar = pack();
  const plain = new Tap();
  const zipped = new Tap();
  const written = pipeline(
    tar,
    plain,
    createGzip({ level: root.level ?? 6 }),
    zipped,
    createWriteStream(file, { mode: 0o600 }),
  );
  const added = addTree(tar, root, root.from, root.target.slice(1)).then(() => tar.finalize());
  await Promise.all([written, added]);
  return { file, size: zipped.size, digest: zipped.digest(), diffId: plain.digest() };
}

/** Lets bytes through and remembers their number and sha256. */
class Tap extends Transform {
  readonly #hash = createHash('sha256');
  size = 0;

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.size += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  digest(): string {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}

type Pack = ReturnType<typeof pack>;

async function addTree(tar: Pack, root: LayerRoot, path: string, name: string): Promise<void> {
  const stat = await lstat(path);
  const header = { mode: stat.mode & 0o7777, uid: root.uid, gid: root.gid, mtime: new Date(0) };
  if (stat.isSymbolicLink()) {
    tar.entry({ ...header, name, type: 'symlink', mode: 0o777, linkname: await readlink(path) });
  } else if (stat.isDirectory()) {
    const inside = name === '' ? '' : `${name}/`;
    if (inside !== '') tar.entry({ ...header, name: inside, type: 'directory' });
    for (const entry of (await readdir(path)).sort()) await addTree(tar, root, join(path, entry), inside + entry);
  } else if (stat.isFile()) {
    const entry = tar.entry({ ...header, name, size: stat.size });
    await pipeline(createReadStream(path), entry);
  }
}
