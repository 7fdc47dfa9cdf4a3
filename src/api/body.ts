import type { Context } from 'hono';
import { MALFORMED } from '../requests/checks.ts';
import { parseJson } from '../requests/json.ts';
import { fail, TEXTS } from './answers.ts';

/** A JSON body: the text as it came and its value. */
export interface Body {
  text: string;
  value: unknown;
}

/** Reads a JSON body in the order of rest-api.md §2.1: 415, then 413, then 400. @param limit bytes */
export async function readJsonBody(c: Context, limit: number): Promise<Body> {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^application\/([^\s/]+\+)?json$/.test(type)) fail(415, TEXTS.contentType);
  const raw = await readBytes(c, limit);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(raw);
    return { text, value: parseJson(text) };
  } catch {
    return fail(400, MALFORMED);
  }
}

async function readBytes(c: Context, limit: number): Promise<Uint8Array> {
  if (Number(c.req.header('content-length') ?? 0) > limit) refuseLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of c.req.raw.body ?? []) {
    size += part.byteLength;
    if (size > limit) refuseLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The rest of the body is not read. */
const refuseLarge = (): never => fail(413, TEXTS.tooLarge, { connection: 'close' });
