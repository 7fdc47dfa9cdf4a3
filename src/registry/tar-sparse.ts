import { BLOCK_SIZE, numberIn, TarError } from './tar-header.ts';

/** Where data stands in a file with holes. */
export interface Extent {
  offset: number;
  length: number;
}

/** A file with holes: its whole size in bytes, and its data in the order it is stored in. */
export interface SparseMap {
  size: number;
  extents: Extent[];
}

type PaxRecords = ReadonlyMap<string, string>;
/** The bytes that follow the header, as many as are asked for. */
type Take = (bytes: number) => Promise<Buffer>;

const REAL_SIZE = [483, 12] as const;
/** Bytes; what a map may take. */
const LARGEST_MAP = 1024 * 1024;

/**
 * The map of a GNU `S` header, which goes on in blocks of its own that the header's size does not count.
 *
 * @throws TarError
 */
export async function readGnuMap(header: Buffer, take: Take): Promise<SparseMap> {
  const extents: Extent[] = [];
  let [block, at, count, more] = [header, 386, 4, 482];
  for (let blocks = 1; ; blocks += 1) {
    for (let n = 0; n < count; n += 1) {
      const start = at + n * 24;
      if (block[start] === 0) break;
      extents.push({ offset: numberIn(block, [start, 12]), length: numberIn(block, [start + 12, 12]) });
    }
    if (!block[more]) break;
    if (blocks * BLOCK_SIZE > LARGEST_MAP) throw tooLong();
    [block, at, count, more] = [await take(BLOCK_SIZE), 0, 21, 504];
  }
  return valid({ size: numberIn(header, REAL_SIZE), extents });
}

/**
 * The map that PAX records announce, of GNU's versions 0.0, 0.1 (in the records) and 1.0 (before the data).
 *
 * @returns null for a file without one
 * @throws TarError
 */
export async function readPaxMap(pax: PaxRecords, size: number, take: Take): Promise<SparseMap | null> {
  const version = [pax.get('GNU.sparse.major'), pax.get('GNU.sparse.minor')].join('.');
  const map = pax.get('GNU.sparse.map');
  const inRecords = version === '0.0' || version === '0.1' || (version === '.' && Boolean(map));
  if (!inRecords && version !== '1.0') return null;
  const real = pax.get('GNU.sparse.size') || pax.get('GNU.sparse.realsize');
  const whole = real ? decimal(real) : size;
  if (version === '1.0') return valid({ size: whole, extents: await readLeadingMap(take) });
  const numbers = map ? map.split(',').map(decimal) : [];
  const blocks = decimal(pax.get('GNU.sparse.numblocks') ?? '');
  if (numbers.length !== 2 * blocks) throw new TarError('A sparse map has another length than it says');
  return valid({ size: whole, extents: extentsOf(numbers) });
}

/** Decimal numbers, each on a line: how many extents there are, then their offsets and lengths; padded to a block. */
async function readLeadingMap(take: Take): Promise<Extent[]> {
  let text = '';
  let lines = 0;
  const feed = async (wanted: number) => {
    while (lines < wanted) {
      if (text.length >= LARGEST_MAP) throw tooLong();
      const block = (await take(BLOCK_SIZE)).toString('latin1');
      lines += block.split('\n').length - 1;
      text += block;
    }
  };
  await feed(1);
  const count = decimal(text.slice(0, text.indexOf('\n')));
  await feed(1 + 2 * count);
  return extentsOf(
    text
      .split('\n')
      .slice(1, 1 + 2 * count)
      .map(decimal),
  );
}

function extentsOf(numbers: readonly number[]): Extent[] {
  return Array.from({ length: numbers.length / 2 }, (_, n) => ({
    offset: numbers[2 * n] ?? 0,
    length: numbers[2 * n + 1] ?? 0,
  }));
}

function valid(map: SparseMap): SparseMap {
  let end = 0;
  for (const { offset, length } of map.extents) {
    if (offset < end || offset + length > map.size) throw new TarError('A sparse map is out of order');
    end = offset + length;
  }
  return map;
}

function decimal(text: string): number {
  const value = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new TarError('An extended header has a number that is not valid');
}

function tooLong(): TarError {
  return new TarError('A sparse map is too long');
}
