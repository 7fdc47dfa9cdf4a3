import { Agent, fetch } from 'undici';
import { unknown, type z } from 'zod';
import { Failure } from '../errors/failure.ts';

/** Calls a JSON API as the sandbox's administrator; of the answer, only what `schema` asks for. */
export type Rest = <Schema extends z.ZodType>(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  schema: Schema,
  body?: unknown,
  /** What the body is, where it is not plain JSON: which kind of patch. */
  contentType?: string,
) => Promise<z.infer<Schema>>;

/**
 * A client of one API.
 *
 * @param headers sent with each call; they hold the credentials
 * @param options.ca PEM of the authority that signed the server's certificate
 * @throws Failure `process_failed` for any answer above 299, with its text
 */
export function restClient(base: string, headers: Record<string, string>, { ca }: { ca?: string } = {}): Rest {
  // Connections are not kept: a client lives for a few calls, and must not keep a server from closing.
  const dispatcher = new Agent({ pipelining: 0, ...(ca === undefined ? {} : { connect: { ca } }) });
  return async (method, path, schema, body, contentType = 'application/json') => {
    const answer = await fetch(`${base}${path}`, {
      method,
      dispatcher,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': contentType }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Failure('process_failed', `${method} ${path} was answered ${answer.status}: ${text}`);
    return schema.parse(text === '' ? null : JSON.parse(text));
  };
}

/** For answers whose content does not matter. */
export const Anything = unknown();
