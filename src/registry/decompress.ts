import type { Duplex, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { zstdFrames } from './zstd-frames.ts';

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Frames a decoder skips; tools put one in front to make zstd seekable. */
const ZSTD_SKIPPABLE = Buffer.from([0x2a, 0x4d, 0x18]);
/** Bytes: decoders share their threads with our writes, and wait for them at every chunk (16 KiB by default). */
const CHUNK = 512 * 1024;

/**
 * What makes a tar of a layer, as streams to go through, by the layer's first bytes: media types are often wrong about
 * it. The bytes looked at are put back.
 */
export async function decodersFor(layer: Readable): Promise<Duplex[]> {
  const start = await firstBytes(layer, 4);
  if (start.subarray(0, 2).equals(GZIP)) return [createGunzip({ chunkSize: CHUNK })];
  if (start.equals(ZSTD) || start.subarray(1).equals(ZSTD_SKIPPABLE))
    return [zstdFrames(), createZstdDecompress({ chunkSize: CHUNK })];
  return [];
}

function firstBytes(stream: Readable, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const bytes: Buffer | null = stream.read(count);
      if (bytes === null && !stream.readableEnded) return;
      stream.off('readable', look).off('end', look).off('error', reject);
      if (bytes !== null) stream.unshift(bytes);
      resolve(bytes ?? Buffer.alloc(0));
    };
    stream.on('readable', look).on('end', look).on('error', reject);
    look();
  });
}
