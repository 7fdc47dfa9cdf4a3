/** Content that is no tar, as opposed to failures of the disk or the network. */
export class TarError extends Error {}

/** Bytes; headers and padding come in blocks. */
export const BLOCK_SIZE = 512;

/** The fields read of a header block. Names are byte strings (latin1): a tar does not say their encoding. */
export interface TarHeader {
  name: string;
  linkName: string;
  /** The type flag, one character. */
  type: string;
  /** Bytes that follow. */
  size: number;
  format: 'v7' | 'ustar' | 'star' | 'gnu';
}

const NAME = [0, 100] as const;
const SIZE = [124, 12] as const;
const CHECKSUM = [148, 8] as const;
const TYPE = [156, 1] as const;
const LINK_NAME = [157, 100] as const;
const PREFIX = [345, 155] as const;
const STAR_PREFIX = [345, 131] as const;
const GNU_TIMES = [
  [345, 12],
  [357, 12],
] as const;

type Field = readonly [start: number, length: number];

/**
 * Reads a header block as Go's archive/tar does, with which opm and containerd read layers; owners, modes and times are
 * not looked at.
 *
 * @throws TarError
 */
export function parseHeader(block: Buffer): TarHeader {
  verifyChecksum(block);
  const format = formatOf(block);
  const prefix = prefixOf(block, format);
  const name = textIn(block, NAME);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: textIn(block, LINK_NAME),
    type: block.toString('latin1', TYPE[0], TYPE[0] + TYPE[1]),
    size: numberIn(block, SIZE),
    format,
  };
}

/** A field's bytes up to the first NUL. */
export function textIn(block: Buffer, [start, length]: Field): string {
  const text = block.toString('latin1', start, start + length);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/**
 * A number that is not negative: octal, or GNU's base 256.
 *
 * @throws TarError
 */
export function numberIn(block: Buffer, [start, length]: Field): number {
  const bytes = block.subarray(start, start + length);
  const first = bytes[0] ?? 0;
  if (first & 0x80) return binaryNumber(bytes);
  const text = bytes.toString('latin1').replace(/^[ \0]+|[ \0]+$/g, '');
  const digits = text.split('\0', 1)[0] ?? '';
  if (text === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw new TarError('A header has a number that is not octal');
  return safe(Number.parseInt(digits, 8));
}

function binaryNumber(bytes: Buffer): number {
  if ((bytes[0] ?? 0) & 0x40) throw new TarError('A header has a negative number');
  let value = BigInt((bytes[0] ?? 0) & 0x7f);
  for (const byte of bytes.subarray(1)) value = value * 256n + BigInt(byte);
  return safe(Number(value));
}

function safe(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new TarError('A header has a number that is too large');
}

/** POSIX adds up unsigned bytes; old tars added up signed ones. */
function verifyChecksum(block: Buffer): void {
  const [start, length] = CHECKSUM;
  let [unsigned, signed] = [0, 0];
  for (const [at, byte] of block.entries()) {
    const counted = at >= start && at < start + length ? 0x20 : byte;
    unsigned += counted;
    signed += counted < 0x80 ? counted : counted - 0x100;
  }
  const stated = numberIn(block, CHECKSUM);
  if (stated !== unsigned && stated !== signed) throw new TarError('A header has a wrong checksum');
}

/** A header without a magic is of the seventh edition's tar, whose names have no prefix. */
function formatOf(block: Buffer): TarHeader['format'] {
  const magic = block.toString('latin1', 257, 263);
  if (magic === 'ustar\0') return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar';
  return magic === 'ustar ' && block.toString('latin1', 263, 265) === ' \0' ? 'gnu' : 'v7';
}

function prefixOf(block: Buffer, format: TarHeader['format']): string {
  if (format === 'ustar') return textIn(block, PREFIX);
  if (format === 'star') return textIn(block, STAR_PREFIX);
  if (format === 'gnu' && !GNU_TIMES.every((field) => isNumber(block, field))) {
    // Go before 1.8 wrote a prefix where GNU has times.
    const prefix = textIn(block, PREFIX);
    return [...prefix].every((char) => char < '\x80') ? prefix : '';
  }
  return '';
}

function isNumber(block: Buffer, field: Field): boolean {
  const first = block[field[0]] ?? 0;
  if (first === 0 || first & 0x80) return true;
  return /^[ \0]*[0-7]*[ \0]*$/.test(block.toString('latin1', field[0], field[0] + field[1]));
}
