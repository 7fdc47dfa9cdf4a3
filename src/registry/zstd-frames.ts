import { Transform } from 'node:stream';

const SKIPPABLE = 0x184d2a5;
const DICTIONARY_ID_SIZES = [0, 1, 2, 4];
const CONTENT_SIZES = [0, 2, 4, 8];
const CHECKSUM_SIZE = 4;
const RLE = 1;

/** What is read next of a frame, and how many bytes of it are needed. */
type Expected =
  | { part: 'magic' | 'skip length' | 'descriptor' | 'block'; bytes: number }
  | { part: 'content'; bytes: number; next: Expected };

const MAGIC: Expected = { part: 'magic', bytes: 4 };
const BLOCK: Expected = { part: 'block', bytes: 3 };

/**
 * Passes zstd data on, cut between frames: Node's decoder takes what follows a frame in the same chunk for garbage and
 * ends (measured on Node 24.21), but goes on when a frame begins with a chunk. Container tools write one frame per file.
 * Data that is not zstd is passed on for the decoder to refuse (RFC 8878, 3.1).
 */
export function zstdFrames(): Transform {
  let expected = MAGIC;
  let header = Buffer.alloc(0);
  let checksum = 0;

  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let start = 0;
      for (let at = 0; at < chunk.length; ) {
        const missing = expected.bytes - header.length;
        const taken = Math.min(missing, chunk.length - at);
        if (expected.part === 'content') expected = { ...expected, bytes: missing - taken };
        else header = Buffer.concat([header, chunk.subarray(at, at + taken)]);
        at += taken;
        if (taken < missing) break;
        expected = settle(after(expected));
        header = Buffer.alloc(0);
        if (expected !== MAGIC) continue;
        this.push(chunk.subarray(start, at));
        start = at;
      }
      if (start < chunk.length) this.push(chunk.subarray(start));
      done();
    },
  });

  function after(read: Expected): Expected {
    if (read.part === 'content') return read.next;
    if (read.part === 'magic') {
      const skippable = header.readUInt32LE() >>> 4 === SKIPPABLE;
      return skippable ? { part: 'skip length', bytes: 4 } : { part: 'descriptor', bytes: 1 };
    }
    if (read.part === 'skip length') return { part: 'content', bytes: header.readUInt32LE(), next: MAGIC };
    if (read.part === 'descriptor') return { part: 'content', bytes: restOfHeader(header[0] ?? 0), next: BLOCK };
    const block = header.readUIntLE(0, 3);
    const bytes = ((block >> 1) & 3) === RLE ? 1 : block >> 3;
    const last: Expected = { part: 'content', bytes: checksum, next: MAGIC };
    return { part: 'content', bytes, next: block & 1 ? last : BLOCK };
  }

  function restOfHeader(descriptor: number): number {
    const single = descriptor & 0x20;
    checksum = descriptor & 0x04 ? CHECKSUM_SIZE : 0;
    const contentSize = CONTENT_SIZES[descriptor >> 6] || (single ? 1 : 0);
    return (single ? 0 : 1) + (DICTIONARY_ID_SIZES[descriptor & 3] ?? 0) + contentSize;
  }
}

/** Content of no bytes has been read already. */
function settle(expected: Expected): Expected {
  return expected.part === 'content' && expected.bytes === 0 ? settle(expected.next) : expected;
}
