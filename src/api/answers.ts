import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { describe, Failure } from '../errors/failure.ts';
import { type ErrorCode, policy } from '../errors/policy.ts';
import { writeJson } from '../requests/json.ts';
import type { Log } from '../telemetry/log.ts';

/** The texts of rest-api.md §7.4 that belong to no single check. */
export const TEXTS = {
  unauthorized:
    'The server could not verify that you are authorized to access the URL requested. You either supplied the wrong ' +
    "credentials (e.g. a bad password), or your browser doesn't understand how to supply the credentials required.",
  notFound: 'The requested resource was not found',
  methodNotAllowed: 'The method is not allowed for the requested URL.',
  tooLarge: 'The data value transmitted exceeds the capacity limit.',
  contentType: "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
  workersOnly: 'This API endpoint is restricted to IIB workers',
  unhealthy: 'Database health check failed.',
  unexpected:
    'The server encountered an internal error and was unable to complete your request. Either the server is ' +
    'overloaded or there is an error in the application.',
} as const;

/** What a failure of the requests' checks answers; any other failure is 500. */
const STATUS: Partial<Record<ErrorCode, ContentfulStatusCode>> = {
  request_invalid: 400,
  request_unreadable: 400,
  request_finished: 400,
  request_forbidden: 403,
};

const HEADERS: Record<number, Record<string, string>> = {
  401: { 'www-authenticate': 'Negotiate' },
  // The rest of the body is not read.
  413: { connection: 'close' },
};

/** Ends the handling of a request with an error answer. */
export function fail(status: ContentfulStatusCode, message: string): never {
  throw new HTTPException(status, { message });
}

export const notFound = (): never => fail(404, TEXTS.notFound);

/** A JSON answer in the byte form of rest-api.md §0. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return bytes(new TextEncoder().encode(`${writeJson(value)}\n`), 'application/json', { status, headers });
}

/** An answer of bytes as they are. */
export function bytes(
  body: Uint8Array<ArrayBuffer>,
  contentType: string,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return new Response(body, {
    status,
    headers: { ...headers, 'content-type': contentType, 'content-length': `${body.byteLength}` },
  });
}

/** Answers whatever was thrown in the error format of rest-api.md §7.3; unexpected causes go to the log alone. */
export function answerError(thrown: Error, c: Context, log: Log): Response {
  if (thrown instanceof HTTPException) {
    return json({ error: thrown.message }, thrown.status, HEADERS[thrown.status]);
  }
  const status = thrown instanceof Failure ? STATUS[thrown.code] : undefined;
  if (status !== undefined) return json({ error: thrown.message }, status);
  const code = thrown instanceof Failure ? thrown.code : 'unexpected';
  log.error({ err: thrown, code, verdict: policy[code], path: c.req.path }, `request failed: ${describe(thrown)}`);
  return json({ error: TEXTS.unexpected }, 500);
}
