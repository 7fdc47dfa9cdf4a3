import { BLOCK_SIZE, parseHeader, TarError, type TarHeader } from './tar-header.ts';
import { type Extent, readGnuMap, readPaxMap, type SparseMap } from './tar-sparse.ts';

/** An entry of a tar. Names are byte strings (latin1). */
export interface TarEntry {
  name: string;
  linkName: string;
  type: 'file' | 'directory' | 'link' | 'symlink' | 'other';
  /** Bytes of the file, holes included. */
  size: number;
  /** Bytes that the tar holds of it. */
  stored: number;
  /** The file's bytes, holes included. To be read once, before the next entry is asked for. */
  content(): AsyncIterable<Buffer>;
}

const TYPES: Record<string, TarEntry['type']> = {
  '\0': 'file',
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'directory',
  '7': 'file',
  S: 'file',
};
/** What follows is no content, whatever size such headers name. */
const WITHOUT_CONTENT = /^[1-6]$/;
/** Bytes; extended headers are read whole. */
const LARGEST_EXTENSION = 1024 * 1024;
/** Bytes; holes are written in pieces. */
const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Reads a tar as Go's archive/tar does: of any format, without an end, with anything after its end, with GNU's and
 * POSIX's extended headers and sparse files. Entries whose content is not read are skipped; what follows the archive's
 * end is left unread.
 *
 * @throws TarError from the iteration
 */
export async function* readTar(chunks: AsyncIterator<Buffer>): AsyncGenerator<TarEntry> {
  const bytes = createByteQueue(chunks);
  let pax: Map<string, string> | null = null;
  let longName = '';
  let longLink = '';

  for (;;) {
    const block = await nextHeader(bytes.upTo);
    if (block === null) return;
    const header = parseHeader(block);
    if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
      if (header.size > LARGEST_EXTENSION) throw new TarError('An extended header is too long');
      const extension = (await bytes.take(header.size)).toString('latin1');
      if (header.type === 'L') longName = upToNul(extension);
      else if (header.type === 'K') longLink = upToNul(extension);
      else pax = parsePax(extension);
      // Go gives what a global header says to nobody, and forgets what stood before it.
      if (header.type === 'g') [pax, longName, longLink] = [null, '', ''];
      if (!(await bytes.skipPadding(header.size))) return;
      continue;
    }
    const stored = WITHOUT_CONTENT.test(header.type) ? 0 : sizeOf(header, pax);
    let unread = stored;
    const take = async (count: number) => {
      if (count > unread) throw new TarError('A file is shorter than its sparse map');
      unread -= count;
      return bytes.take(count);
    };
    const map = await sparseMap(header, block, pax, stored, { take, after: bytes.take });
    const size = map?.size ?? stored;
    const name = (map && pax?.get('GNU.sparse.name')) || longName || pax?.get('path') || header.name;
    const part = async (most: number) => {
      const wanted = Math.min(most, unread);
      const chunk = await bytes.part(wanted);
      if (chunk.length === 0 && wanted > 0) throw brokenOff();
      unread -= chunk.length;
      return chunk;
    };
    yield {
      name,
      linkName: longLink || pax?.get('linkpath') || header.linkName,
      type: typeOf(header, name, size),
      size,
      stored,
      content: () => contentOf(map?.extents ?? [{ offset: 0, length: size }], size, part),
    };
    [pax, longName, longLink] = [null, '', ''];
    await bytes.skip(unread);
    if (!(await bytes.skipPadding(stored))) return;
  }
}

/** Two blocks of zeros end an archive, and so does the end of the data where a header would begin. */
async function nextHeader(upTo: ByteQueue['upTo']): Promise<Buffer | null> {
  const block = await upTo(BLOCK_SIZE);
  if (block.length === 0) return null;
  if (block.length < BLOCK_SIZE) throw new TarError('It breaks off in a header');
  if (!isZero(block)) return block;
  const second = await upTo(BLOCK_SIZE);
  if (second.length > 0 && !(second.length === BLOCK_SIZE && isZero(second))) {
    throw new TarError('It goes on after a block of zeros');
  }
  return null;
}

async function sparseMap(
  header: TarHeader,
  block: Buffer,
  pax: Map<string, string> | null,
  size: number,
  read: { take: ByteQueue['take']; after: ByteQueue['take'] },
): Promise<SparseMap | null> {
  if (header.type === 'S') {
    if (header.format !== 'gnu') throw new TarError('A sparse file has a header that is not of GNU');
    return readGnuMap(block, read.after);
  }
  return pax === null || WITHOUT_CONTENT.test(header.type) ? null : readPaxMap(pax, size, read.take);
}

/** Old tars tell a directory by the slash after its name; some give it the type of a file. */
function typeOf(header: TarHeader, name: string, size: number): TarEntry['type'] {
  const isFile = header.type === '\0' || (header.type === '0' && size === 0);
  return isFile && name.endsWith('/') ? 'directory' : (TYPES[header.type] ?? 'other');
}

function sizeOf(header: TarHeader, pax: Map<string, string> | null): number {
  const text = pax?.get('size');
  if (!text) return header.size;
  const size = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new TarError('An extended header has a size that is not valid');
  return size;
}

async function* contentOf(
  extents: readonly Extent[],
  size: number,
  part: (most: number) => Promise<Buffer>,
): AsyncGenerator<Buffer> {
  let at = 0;
  for (const { offset, length } of extents) {
    yield* zeros(offset - at);
    for (let left = length; left > 0; ) {
      const chunk = await part(left);
      if (chunk.length === 0) throw new TarError('A file is shorter than its sparse map');
      left -= chunk.length;
      yield chunk;
    }
    at = offset + length;
  }
  yield* zeros(size - at);
  if ((await part(1)).length > 0) throw new TarError('A file is longer than its sparse map');
}

function* zeros(count: number): Generator<Buffer> {
  for (let left = count; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
}

/**
 * Records of an extended header, byte strings. Version 0.0 of GNU's sparse files repeats keys; they are put together as
 * version 0.1 writes them.
 */
function parsePax(text: string): Map<string, string> {
  const records = new Map<string, string>();
  const sparse: string[] = [];
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at);
    const digits = space < 0 ? '' : text.slice(at, space);
    const end = at + Number(digits);
    if (!/^\d+$/.test(digits) || end > text.length || end <= space + 1 || text[end - 1] !== '\n') throw badRecord();
    const record = text.slice(space + 1, end - 1);
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, Math.max(equals, 0)), record.slice(equals + 1)];
    if (key === '' || (/^(path|linkpath|uname|gname)$/.test(key) ? value : key).includes('\0')) throw badRecord();
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      const expected = sparse.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes';
      if (key !== expected || value.includes(',')) throw badRecord();
      sparse.push(value);
    } else {
      records.set(key, value);
    }
    at = end;
  }
  if (sparse.length > 0) records.set('GNU.sparse.map', sparse.join(','));
  return records;
}

function badRecord(): TarError {
  return new TarError('An extended header is not valid');
}

function upToNul(text: string): string {
  return text.split('\0', 1)[0] ?? '';
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

type ByteQueue = ReturnType<typeof createByteQueue>;

/** Cuts a stream of chunks into pieces of wanted lengths. */
function createByteQueue(chunks: AsyncIterator<Buffer>) {
  let chunk: Buffer = Buffer.alloc(0);
  return { part, upTo, take, skip, skipPadding };

  /** Some bytes, at most so many; none at the end. */
  async function part(most: number): Promise<Buffer> {
    while (chunk.length === 0 && most > 0) {
      const { value, done } = await chunks.next();
      if (done) break;
      chunk = value;
    }
    const piece = chunk.subarray(0, most);
    chunk = chunk.subarray(piece.length);
    return piece;
  }

  /** So many bytes, fewer only at the end. */
  async function upTo(count: number): Promise<Buffer> {
    const first = await part(count);
    if (first.length === count || first.length === 0) return first;
    const pieces = [first];
    for (let left = count - first.length; left > 0; ) {
      const piece = await part(left);
      if (piece.length === 0) break;
      left -= piece.length;
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  async function take(count: number): Promise<Buffer> {
    const piece = await upTo(count);
    if (piece.length < count) throw brokenOff();
    return piece;
  }

  async function skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const piece = await part(left);
      if (piece.length === 0) throw brokenOff();
      left -= piece.length;
    }
  }

  /** False at the end of the data: the last entry's padding may be missing. */
  async function skipPadding(size: number): Promise<boolean> {
    const padding = (BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE;
    return (await upTo(padding)).length === padding;
  }
}

function brokenOff(): TarError {
  return new TarError('It breaks off in an entry');
}
