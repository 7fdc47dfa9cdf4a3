import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from './client.ts';
import { decodersFor } from './decompress.ts';
import { createFileWriter } from './file-writer.ts';
import { type Content, createImageRoot } from './image-root.ts';
import type { Descriptor } from './manifest.ts';
import { nameOf } from './pull-spec.ts';
import { readTar, type TarEntry } from './tar.ts';
import { TarError } from './tar-header.ts';
import { placeFiles, wantedFiles } from './wanted-files.ts';

/** What an image may cost us; beyond it, it is refused. */
export interface ExtractionLimits {
  /** Tar entries in all layers, and directories their paths imply, also outside of the wanted directories. */
  entries: number;
  /** Bytes of all layers after decompression. */
  bytes: number;
  /** Bytes of all names and link targets. */
  names: number;
  /** Path segments that are looked up, links followed. */
  steps: number;
  /** Of what is written to disk, also when a later layer takes it away again: entries and bytes. */
  kept: { entries: number; bytes: number };
  /** Path segments of what is wanted, below the wanted directory. */
  depth: number;
}

export const DEFAULT_LIMITS: ExtractionLimits = {
  entries: 300_000,
  bytes: 4 * 1024 ** 3,
  names: 128 * 1024 ** 2,
  steps: 20_000_000,
  kept: { entries: 30_000, bytes: 512 * 1024 ** 2 },
  depth: 32,
};

export interface ExtractionOptions {
  client: RegistryClient;
  /** Of a list, the linux/amd64 image is read; see {@link RegistryClient.image}. */
  image: string;
  limits?: ExtractionLimits;
}

interface Why {
  code?: 'image_unreadable' | 'image_directory_missing';
  cause?: unknown;
}

/** Absolute path in the image → empty or absent directory on disk; all on one file system. */
export type Wanted = Record<string, string>;

/** Bytes; Linux takes no longer path, so nothing can be at one. */
const LONGEST_PATH = 4096;
/** Bytes; such files are written in one go and side by side, which is much faster than a stream for each. */
const SMALL_FILE = 256 * 1024;

/**
 * Writes a directory of an image to `to`, without container runtime: the image's layers flow through us, and of them
 * only the files below the directory are written (request-handling.md §3.7). See {@link extractDirectories}.
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
 * Paths are looked up inside the image's root: a leading `/` or `./` says nothing, whiteouts and links are followed as
 * containerd follows them, and of a link to a file the file is written. Content that links lead to from elsewhere is
 * fetched in a second pass. What nobody asked for may be anything, within the limits.
 *
 * @throws Failure `image_directory_missing`; `image_unreadable`: an entry's name that leads out of the root; in a wanted
 *   directory a device, a pipe, a link to a directory or to nothing, a name that is not UTF-8; too much of anything; not
 *   a tar. Failure `request_invalid` when a path is not below the root. Failures of the client.
 */
export async function extractDirectories({
  client,
  image,
  limits = DEFAULT_LIMITS,
  directories,
}: ExtractionOptions & { directories: Wanted }): Promise<void> {
  const targets = Object.entries(directories).map(([directory, to]) => ({ directory: imagePath(directory), to }));
  for (const { directory } of targets) {
    if (targets.some((other) => other.directory.startsWith(`${directory}/`))) {
      throw new Failure('unexpected', `Directories to be extracted lie in one another: ${directory}`);
    }
  }
  await Promise.all(targets.map(({ to }) => prepare(to)));
  const wanted = targets.map(({ directory }) => `${bytesOf(directory).slice(1)}/`);
  const contents = await mkdtemp(join(dirname(targets[0]?.to ?? '.'), '.content-'));
  const writer = createFileWriter();
  const spent = { entries: 0, bytes: 0, names: 0, steps: 0, kept: { entries: 0, bytes: 0 } };
  const root = createImageRoot(() => {
    spent.steps += 1;
    if (spent.steps > limits.steps) throw refused('its paths and links are too long to be followed');
  });
  try {
    const { document } = await client.image(image);
    if (document.layers.length === 0) throw refused('it has no layers');
    for (const [layer, descriptor] of document.layers.entries()) {
      spent.entries += 1;
      await read(descriptor, (entry, position) => take(entry, { layer, position }));
    }
    const files = targets.map(({ directory, to }) => {
      const found = root.find(bytesOf(directory))?.at(-1)?.node;
      if (found?.kind !== 'directory') {
        throw refused(`there is no directory ${directory} in it`, { code: 'image_directory_missing' });
      }
      return { to, wanted: wantedFiles(root, bytesOf(directory), { limits, refused }) };
    });
    await fetchMissing(
      files.flatMap(({ wanted }) => wanted.contents),
      document.layers,
    );
    await writer.settled();
    await placeFiles(files);
  } catch (thrown) {
    await writer.idle();
    await Promise.all(targets.map(({ to }) => rm(to, { recursive: true, force: true })));
    throw thrown;
  } finally {
    await rm(contents, { recursive: true, force: true });
  }

  /** Content that a link leads to was of no interest when it came by. */
  async function fetchMissing(all: readonly Content[], layers: readonly Descriptor[]): Promise<void> {
    const missing = all.filter(({ file }) => file === null);
    for (const [number, descriptor] of layers.entries()) {
      const here = new Map(missing.filter(({ layer }) => layer === number).map((one) => [one.position, one]));
      if (here.size === 0) continue;
      await read(descriptor, async (entry, position) => {
        const content = here.get(position);
        if (content !== undefined && content.file === null) await store(entry, content);
      });
    }
  }

  async function read(
    descriptor: Descriptor,
    each: (entry: TarEntry, position: number) => Promise<void>,
  ): Promise<void> {
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        spent.bytes += chunk.length;
        if (spent.bytes > limits.bytes) done(refused(`it is larger than ${limits.bytes} bytes`));
        else done(null, chunk);
      },
    });
    const blob = await client.blob(nameOf(image), descriptor);
    try {
      // Its types know no list that ends with a function.
      await pipeline([blob, ...(await decodersFor(blob)), meter, entries] as unknown as NodeJS.ReadWriteStream[]);
    } catch (thrown) {
      throw isAboutContent(thrown) ? refused('a layer is damaged', { cause: thrown }) : thrown;
    }

    async function entries(source: AsyncIterable<Buffer>): Promise<void> {
      const chunks = source[Symbol.asyncIterator]();
      let position = 0;
      for await (const entry of readTar(chunks)) {
        await each(entry, position);
        position += 1;
      }
      // What follows the archive says nothing, but the blob's digest is known only at its end.
      while (!(await chunks.next()).done);
    }
  }

  async function take(entry: TarEntry, at: { layer: number; position: number }): Promise<void> {
    spent.entries += 1;
    spent.names += entry.name.length + entry.linkName.length;
    if (spent.names > limits.names) throw refused('its names are too long');
    // Told by the header, before anything of it has flowed.
    if (entry.stored > limits.bytes) throw refused(`it is larger than ${limits.bytes} bytes`);
    const path = entryPath(entry.name);
    if (path.length > LONGEST_PATH || entry.linkName.length > LONGEST_PATH) {
      if (isWanted(path)) throw refused('it has an entry with a name that no file system takes');
      return;
    }
    const placed = root.add(path, entry, at);
    if (Math.max(spent.entries, root.count()) > limits.entries) {
      throw refused(`it has more than ${limits.entries} entries`);
    }
    if (placed !== null && (isWanted(placed.path) || isWanted(path))) await store(entry, placed.content);
  }

  function isWanted(path: string): boolean {
    return wanted.some((directory) => path.startsWith(directory));
  }

  async function store(entry: TarEntry, content: Content): Promise<void> {
    const { kept } = spent;
    kept.entries += 1;
    kept.bytes += content.size;
    if (kept.entries > limits.kept.entries) throw refused(`there are more than ${limits.kept.entries} entries in it`);
    if (kept.bytes > limits.kept.bytes) throw refused(`it is larger than ${limits.kept.bytes} bytes`);
    const path = join(contents, String(kept.entries));
    content.file = path;
    if (content.size > SMALL_FILE) {
      return pipeline(Readable.from(entry.content()), createWriteStream(path, { flags: 'wx' }));
    }
    const chunks: Buffer[] = [];
    for await (const chunk of entry.content()) chunks.push(chunk);
    await writer.write(path, Buffer.concat(chunks));
  }

  /** Normal, below the root; empty for the root itself. */
  function entryPath(name: string): string {
    const path = posix.normalize(name.replace(/^\/+/, '')).replace(/\/$/, '');
    if (path === '..' || path.startsWith('../')) throw refused('it has an entry whose path is not below its root');
    return path === '.' ? '' : path;
  }

  function refused(reason: string, { code = 'image_unreadable', cause }: Why = {}): Failure {
    const named = targets.map(({ directory }) => directory).join(', ');
    return new Failure(code, `Failed to extract ${named} from ${image}: ${reason}`, { cause });
  }
}

/** Errors of the decoders and of the tar reader, as opposed to those of our disk and of aborted work. */
function isAboutContent(thrown: unknown): boolean {
  if (thrown instanceof TarError) return true;
  return thrown instanceof Error && 'code' in thrown && /^(Z_|ZSTD_)/.test(String(thrown.code));
}

/** A text as the byte string that names in layers are. */
function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
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
