import { Readable, Stream } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Failure } from '../errors/failure.ts';
import type { ErrorCode } from '../errors/policy.ts';
import { startPace, type TransferLimits } from './pace.ts';

/** The body of an answer. It is read once, by one of its members, or not at all. */
export interface Body {
  /**
   * All of it, in memory.
   *
   * @param limit bytes; of a longer body no more is read
   * @param tooLong code of the failure for a longer one
   * @throws Failure `tooLong`, `registry_unavailable` when the connection breaks, `registry_slow`, `registry_answer_invalid`
   */
  bytes(limit: number, tooLong?: ErrorCode): Promise<Buffer>;
  /** As it comes. @throws as `bytes` while it flows */
  stream(): AsyncIterable<Buffer>;
  /** Nobody wants it: a short one is read, so that the connection can be used again; any other is cut off. */
  discard(): Promise<void>;
}

export interface BodyOptions {
  /** Names the registry and what is read, for messages: `The registry R, asked for S,`. */
  registry: string;
  subject: string;
  headers: Record<string, string | string[] | undefined>;
  limits: TransferLimits;
  /** Milliseconds for a body that is read into memory. */
  documentTime: number;
  signal: AbortSignal | undefined;
  /** Makes a failure of a network error. */
  failureOf(cause: unknown): Failure;
}

/** Bytes and milliseconds that are spent on a body nobody wants. */
const DISCARDED = { bytes: 64 * 1024, time: 1000 };

/**
 * The body of an answer under limits of size, rate and time. Content that is gzipped unasked is unpacked, and any other
 * encoding is left as it is, as Go programs have it.
 */
export function bodyOf(raw: Readable, options: BodyOptions): Body {
  const { registry, subject, headers, limits, documentTime, signal, failureOf } = options;
  // An answer that is cut off while nobody reads it tells so by an event.
  raw.on('error', () => {});
  const encoding = [headers['content-encoding'] ?? []].flat().join(',').trim().toLowerCase();

  return { bytes, stream: () => flow(limits), discard };

  async function bytes(limit: number, tooLong: ErrorCode = 'image_unreadable'): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of flow({ ...limits, total: documentTime })) {
      size += chunk.length;
      if (size > limit) {
        throw new Failure(
          tooLong,
          `The registry ${registry} sent more than ${limit} bytes for ${subject}, where few belong`,
        );
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async function* flow(allowed: TransferLimits): AsyncGenerator<Buffer> {
    let slow: Failure | undefined;
    const pace = startPace(allowed, (what) => {
      slow = new Failure('registry_slow', `The registry ${registry} is too slow: its answer for ${subject} ${what}`);
      raw.destroy(slow);
    });
    try {
      for await (const chunk of decoded(paced())) yield chunk;
    } catch (thrown) {
      signal?.throwIfAborted();
      throw slow ?? (thrown instanceof Failure ? thrown : failureOf(thrown));
    } finally {
      pace.end();
      raw.destroy();
    }

    async function* paced(): AsyncGenerator<Buffer> {
      pace.wait();
      for await (const chunk of raw as AsyncIterable<Buffer>) {
        pace.moved(chunk.length);
        yield chunk;
        pace.wait();
      }
    }
  }

  function decoded(chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    if (encoding !== 'gzip') return chunks;
    const unpacked = createGunzip();
    // The error reaches whoever reads the unpacked bytes.
    Stream.pipeline(Readable.from(chunks, { objectMode: false }), unpacked, () => {});
    return unpacked as AsyncIterable<Buffer>;
  }

  async function discard(): Promise<void> {
    let size = 0;
    const timer = setTimeout(() => raw.destroy(), DISCARDED.time);
    try {
      for await (const chunk of raw as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > DISCARDED.bytes) break;
      }
    } catch {
      signal?.throwIfAborted();
    } finally {
      clearTimeout(timer);
      raw.destroy();
    }
  }
}
