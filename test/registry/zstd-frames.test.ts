import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { constants, createZstdDecompress, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { zstdFrames } from '../../src/registry/zstd-frames.ts';

const frame = fc
  .tuple(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 400 }), fc.boolean())
  .map(([bytes, times, checksum]) => {
    const content = Buffer.concat(Array.from({ length: times }, () => bytes));
    const params = { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 };
    return { content, packed: zstdCompressSync(content, { params }) };
  });
const skippable = fc.uint8Array({ maxLength: 50 }).map((bytes) => {
  const head = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, bytes.length, 0, 0, 0]);
  return { content: Buffer.alloc(0), packed: Buffer.concat([head, bytes]) };
});

test('frames of any kind, in chunks of any size, are read to their end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(frame, skippable), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 5000 }),
      async (frames, size) => {
        const packed = Buffer.concat(frames.map((part) => part.packed));
        const chunks = Array.from({ length: Math.ceil(packed.length / size) }, (_, n) =>
          packed.subarray(n * size, (n + 1) * size),
        );
        const unpacked = await buffer(Readable.from(chunks).pipe(zstdFrames()).pipe(createZstdDecompress()));
        expect(unpacked.equals(Buffer.concat(frames.map((part) => part.content)))).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});
