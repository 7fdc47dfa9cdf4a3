import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { posix } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Extract, extract } from 'tar-stream';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from './client.ts';
import { decodersFor } from './decompress.ts';
import { createFileWriter } from './file-writer.ts';
import { nameOf } from './pull-spec.ts';
import { type Tree, treeOf } from './tree.ts';
import { type Statement, statementOf } from './whiteout.ts';

/** What an image may cost us; beyond it, it is refused. */
export interface ExtractionLimits {
  /** Tar entries in all layers, also outside of the wanted directories. */
  entries: number;
  /** Bytes of all layers after decompression. */
  bytes: number;
  /** Of what is written to disk, also when a later layer takes it away again: entries and bytes. */
  kept: { entries: number; bytes: number };
  /** Path segments below the root of the image. */
  depth: number;
}

export const DEFAULT_LIMITS: ExtractionLimits = {
  entries: 300_000,
  bytes: 4 * 1024 ** 3,
  kept: { entries: 30_000, bytes: 512 * 1024 ** 2 },
  depth: 32,
};

export interface ExtractionOptions {
  client: RegistryClient;
  /** Of a list, the linux/amd64 image is read, else the first. */
  image: string;
  limits?: ExtractionLimits;
}

interface Why {
  code?: 'image_unreadable' | 'image_directory_missing';
  cause?: unknown;
}

type Entry = Extract extends AsyncIterable<infer Item> ? Item : never;

/** Absolute path in the image → empty or absent directory on disk. */
export type Wanted = Record<string, string>;

/** Bytes; file systems take no more. */
const LONGEST_NAME = 255;
const LONGEST_PATH = 2048;
/** Bytes; such files are written in one go and side by side, which is much faster than a stream for each. */
const SMALL_FILE = 256 * 1024;

/**
 * Writes a directory of an image to `to`, without container runtime: the image's layers flow through us, and of them
 * only the files below the directory are written (request-handling.md §3.7). Whiteouts are honoured. See
 * {@link extractDirectories}.
 */
export async function extractDirectory({
  directory,
  to,
  ...options
}: ExtractionOptions & { directory: string; to: string }): Promise<void> {
  await extractDirectories({ ...options, directories: { [directory]: to } });
}

/**
 * Several directories in one pass over the layers. Nothing is left on disk when it fails.
 *
 * @throws Failure `image_directory_missing`; `image_unreadable`: links or devices in it or on the way to it;
 *   absolute names or `..`; too much of anything; not a tar. Failure `request_invalid` when a path is not below the
 *   root. Failures of the client.
 */
export async function extractDirectories({
  client,
  image,
  limits = DEFAULT_LIMITS,
  directories,
}: ExtractionOptions & { directories: Wanted }): Promise<void> {
  const writer = createFileWriter();
  const trees = Object.entries(directories).map(([directory, to]) => treeOf(imagePath(directory), to, writer));
  await Promise.all(trees.map(({ to }) => prepare(to)));
  const spent = { entries: 0, bytes: 0, kept: { entries: 0, bytes: 0 } };
  for (const { directory } of trees) {
    if (trees.some((other) => other.directory.startsWith(`${directory}/`))) {
      throw new Failure('unexpected', `Directories to be extracted lie in one another: ${directory}`);
    }
  }
  try {
    const { document } = await client.image(image);
    if (document.layers.length === 0) throw refused('it has no layers');
    for (const [number, layer] of document.layers.entries()) {
      spent.entries += 1;
      await unpack(await client.blob(nameOf(image), layer), number);
    }
    await writer.settled();
    for (const { directory, found } of trees) {
      if (!found()) throw refused(`there is no directory ${directory} in it`, { code: 'image_directory_missing' });
    }
  } catch (thrown) {
    await writer.idle();
    await Promise.all(trees.map(({ to }) => rm(to, { recursive: true, force: true })));
    throw thrown;
  }

  async function unpack(blob: Readable, layer: number): Promise<void> {
    const tar = extract();
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        spent.bytes += chunk.length;
        if (spent.bytes > limits.bytes) done(refused(`it is larger than ${limits.bytes} bytes`));
        else done(null, chunk);
      },
    });
    const flow = pipeline([blob, ...(await decodersFor(blob)), meter, tar]);
    const results = await Promise.allSettled([flow, takeAll(tar, layer)]);
    const thrown = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    // Each end tells the other that it is gone; what counts is who went first, and that is who knows why.
    const failure = thrown.find((reason) => reason instanceof Failure) ?? thrown[0];
    if (failure !== undefined)
      throw isAboutContent(failure) ? refused('a layer is damaged', { cause: failure }) : failure;
  }

  async function takeAll(tar: Extract, layer: number): Promise<void> {
    for await (const entry of tar) {
      spent.entries += 1;
      if (spent.entries > limits.entries) throw refused(`it has more than ${limits.entries} entries`);
      // Told by the header, before anything of it has flowed.
      if ((entry.header.size ?? 0) > limits.bytes) throw refused(`it is larger than ${limits.bytes} bytes`);
      const statement = statementOf(entryPath(entry.header.name));
      for (const tree of trees) await apply(tree, statement, entry, layer);
      entry.resume();
    }
  }

  async function apply(tree: Tree, { says, path }: Statement, entry: Entry, layer: number): Promise<void> {
    const relation = tree.relation(path);
    if (relation === 'beside' || says === 'nothing') return;
    if (says === 'gone') return tree.remove(path, layer);
    if (says === 'emptied') return tree.empty(path, layer);
    const { type } = entry.header;
    if (relation === 'at or below') keep(entry);
    if (relation === 'above') {
      if (type === 'directory') return;
      if (type === 'file') return tree.remove(path, layer);
    } else {
      if (type === 'directory') return tree.addDirectory(path, layer);
      if (type === 'file') return store(entry, await tree.addFile(path, layer));
    }
    throw refused(`${path} is neither a file nor a directory`);
  }

  function keep({ header }: Entry): void {
    const { kept } = spent;
    kept.entries += 1;
    kept.bytes += header.size ?? 0;
    if (kept.entries > limits.kept.entries) throw refused(`there are more than ${limits.kept.entries} entries in it`);
    if (kept.bytes > limits.kept.bytes) throw refused(`it is larger than ${limits.kept.bytes} bytes`);
  }

  /**
   * Read by iteration, which ends when the tar breaks off; piping would wait for ever then (tar-stream 3.2).
   * That it broke off is told by the tar itself.
   */
  async function store(entry: Entry, path: string): Promise<void> {
    if (entry.header.size > SMALL_FILE) return pipeline(Readable.from(entry), createWriteStream(path, { flags: 'wx' }));
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    await writer.write(path, Buffer.concat(chunks));
  }

  function entryPath(name: string): string {
    const segments = name.split('/').filter((segment) => segment !== '' && segment !== '.');
    if (name.startsWith('/') || segments.includes('..') || name.includes('\0')) {
      throw refused('it has an entry whose path is not below its root');
    }
    if (segments.length > limits.depth) throw refused(`it has a path of more than ${limits.depth} segments`);
    if (
      Buffer.byteLength(name) > LONGEST_PATH ||
      segments.some((segment) => Buffer.byteLength(segment) > LONGEST_NAME)
    ) {
      throw refused('it has an entry with a name that no file system takes');
    }
    return segments.join('/');
  }

  function refused(reason: string, { code = 'image_unreadable', cause }: Why = {}): Failure {
    const wanted = trees.map(({ directory }) => directory).join(', ');
    return new Failure(code, `Failed to extract ${wanted} from ${image}: ${reason}`, { cause });
  }
}

/** Errors of the decoders and of the tar parser, as opposed to those of our disk and of aborted work. */
function isAboutContent(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const code = 'code' in thrown ? String(thrown.code) : '';
  return (
    /^(Z_|ZSTD_)/.test(code) || /^(Invalid( tar)? header|Header exceeds|Unexpected end of data)/.test(thrown.message)
  );
}

/** A normal absolute path below the root: `/manifests`. */
function imagePath(text: string): string {
  if (!text.startsWith('/'))
    throw new Failure('request_invalid', `src_path must be an absolute image path, got '${text}'`);
  const path = posix.normalize(text).replace(/\/$/, '');
  if (path === '') throw new Failure('request_invalid', `src_path must name a directory under /, got '${text}'`);
  return path;
}

async function prepare(to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  if ((await readdir(to)).length > 0) throw new Failure('unexpected', 'An image is to be extracted over other files');
}
