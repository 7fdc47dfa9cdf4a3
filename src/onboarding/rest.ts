import { Agent, fetch } from 'undici';
import { unknown, type z } from 'zod';
import { describe, Failure } from '../errors/failure.ts';
import type { ErrorCode } from '../errors/policy.ts';
import { mask } from '../telemetry/secrets.ts';

/** Calls a JSON API; of the answer, only what `schema` asks for. */
export type Rest = <Schema extends z.ZodType>(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  schema: Schema,
  body?: unknown,
  /** What the body is, where it is not plain JSON: which kind of patch. */
  contentType?: string,
) => Promise<z.infer<Schema>>;

/** An API's refusal, with its HTTP status. */
export class RestFailure extends Failure {
  readonly status: number;

  constructor(code: ErrorCode, message: string, status: number) {
    super(code, message);
    this.status = status;
  }
}

export interface RestOptions {
  /** Sent with each call; they hold the credentials. */
  headers: Record<string, string>;
  /** PEM of the authority that signed the server's certificate; those of the system when absent. */
  ca?: string;
  /** Milliseconds one call may take. */
  timeout?: number;
  /** Codes of failures: an answer above 299, and none at all. */
  codes: { refused: ErrorCode; unavailable: ErrorCode };
}

/**
 * A client of one API for the few calls of a preparation; nothing is tried again.
 *
 * @throws RestFailure `codes.refused` for any answer above 299, with its text; Failure `codes.unavailable` without answer
 */
export function restClient(base: string, { headers, ca, timeout = 60_000, codes }: RestOptions): Rest {
  // Connections are not kept: a client lives for a few calls, and must not keep a server from closing.
  const dispatcher = new Agent({ pipelining: 0, ...(ca === undefined ? {} : { connect: { ca } }) });
  return async (method, path, schema, body, contentType = 'application/json') => {
    const call = `${method} ${path}`;
    const answer = await fetch(`${base}${path}`, {
      method,
      dispatcher,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeout),
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': contentType }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((cause: unknown) => {
      throw new Failure(codes.unavailable, `${base} cannot be reached: ${mask(describe(cause))}`, { cause });
    });
    const text = await answer.text();
    if (!answer.ok) {
      throw new RestFailure(codes.refused, mask(`${call} was answered ${answer.status}: ${text}`), answer.status);
    }
    return schema.parse(text === '' ? null : JSON.parse(text));
  };
}

/** The value, or null when the API says that there is no such thing (404). */
export async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (thrown) {
    if (thrown instanceof RestFailure && thrown.status === 404) return null;
    throw thrown;
  }
}

/** For answers whose content does not matter. */
export const Anything = unknown();
