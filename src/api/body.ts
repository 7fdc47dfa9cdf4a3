import type { Context } from 'hono';
import { Failure } from '../errors/failure.ts';
import { MALFORMED } from '../requests/checks.ts';
import { BODY_VALUES } from '../requests/fields.ts';
import { parseBody } from '../requests/json.ts';
import { fail, TEXTS } from './answers.ts';

/** A JSON body: the text as it came and its value. */
export interface Body {
  text: string;
  value: unknown;
}

/**
 * Reads a JSON body in the order of rest-api.md §2.1: 415, then 413, then 400.
 *
 * @param limit bytes
 * @throws Failure `request_invalid` for a body of too many values
 */
export async function readJsonBody(c: Context, limit: number): Promise<Body> {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^application\/([^\s/]+\+)?json$/.test(type)) fail(415, TEXTS.contentType);
  refuseEncoded(c);
  const raw = await readBytes(c, limit);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(raw);
    return { text, value: parseBody(text, BODY_VALUES) };
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    return fail(400, MALFORMED);
  }
}

/** A compressed body is not unpacked: its size would be known too late. */
function refuseEncoded(c: Context): void {
  const encoding = c.req.header('content-encoding')?.trim() ?? '';
  if (['', 'identity'].includes(encoding.toLowerCase())) return;
  fail(415, `The Content-Encoding "${encoding}" is not supported. Send the body without it.`, {
    'accept-encoding': 'identity',
  });
}

/** Bytes beyond the limit that are read and dropped: whoever is cut off while sending sees no answer, but a broken pipe. */
const DISCARDED = 32 * 1024 * 1024;

async function readBytes(c: Context, limit: number): Promise<Uint8Array> {
  if (Number(c.req.header('content-length') ?? 0) > limit + DISCARDED) refuseLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of c.req.raw.body ?? []) {
      size += part.byteLength;
      if (size > limit + DISCARDED) break;
      if (size <= limit) parts.push(part);
    }
  } catch {
    // Only the client's side of the connection can end a body early; mostly it is gone and reads no answer.
    fail(400, TEXTS.incomplete, { connection: 'close' });
  }
  return size > limit ? refuseLarge() : Buffer.concat(parts);
}

/** What is left of the body is not read. */
const refuseLarge = (): never => fail(413, TEXTS.tooLarge, { connection: 'close' });
