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
  incomplete: 'The body of the request ended before it was complete. Send it again.',
  badAddress: 'The URL or the "Host" header of the request is not valid.',
  noHttp: 'The request is not valid HTTP/1.1.',
  headersTooLarge: 'The headers of the request are too large; at most 16384 bytes are allowed.',
  tooSlow: 'The request did not arrive in time.',
  expectation: 'The "Expect" header must be "100-continue" or left out.',
  contentType: "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
  submittersOnly: 'You are not allowed to submit requests',
  overwritersOnly: 'You are not allowed to overwrite indexes',
  adminsOnly: 'This API endpoint is restricted to administrators',
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
  registry_not_allowed: 403,
  idempotency_conflict: 409,
  identity_provider_unavailable: 503,
};

/** Codes of error answers that no Failure stands behind. */
const CODES: Partial<Record<number, string>> = {
  400: 'request_invalid',
  401: 'unauthorized',
  403: 'request_forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  409: 'idempotency_conflict',
  410: 'expired',
  408: 'request_timeout',
  413: 'too_large',
  415: 'media_type_unsupported',
  417: 'expectation_failed',
  431: 'headers_too_large',
};

/** Clients that accept this get the code in the body, too. The body others get is compared whole by them (§7.3). */
const OWN_TYPE = 'application/vnd.indexwright+json';

/** Ends the handling of a request with an error answer. */
export function fail(status: ContentfulStatusCode, message: string, headers: Record<string, string> = {}): never {
  throw new HTTPException(status, { message, res: new Response(null, { headers }) });
}

export const notFound = (): never => fail(404, TEXTS.notFound);

/** A JSON answer in the byte form of rest-api.md §0. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return jsonText(writeJson(value), status, headers);
}

/** The same with the value written already. */
export function jsonText(text: string, status: number, headers: Record<string, string> = {}): Response {
  return bytes(new TextEncoder().encode(`${text}\n`), 'application/json', { status, headers });
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

/** Characters of an error that are shown: it may repeat what the client sent, and that may be megabytes. */
const LONGEST_ERROR = 16_384;

/** An error in the format of rest-api.md §7.3, with its code for programs in a header. */
export function errorJson(
  c: Context,
  status: number,
  message: string,
  { code = CODES[status] ?? 'unexpected', headers = {} }: { code?: string; headers?: Record<string, string> } = {},
): Response {
  const wantsCode = (c.req.header('accept') ?? '').toLowerCase().includes(OWN_TYPE);
  const error = message.length > LONGEST_ERROR ? `${message.slice(0, LONGEST_ERROR)}…` : message;
  return json({ error, ...(wantsCode ? { code } : {}) }, status, { ...headers, 'x-error-code': code });
}

/** The same for requests that never get as far as the app: no context, and no wish about the form. */
export function plainError(status: number, message: string): { body: string; headers: Record<string, string> } {
  const body = `${writeJson({ error: message })}\n`;
  const headers = {
    'content-type': 'application/json',
    'content-length': `${Buffer.byteLength(body)}`,
    'x-error-code': CODES[status] ?? 'unexpected',
    connection: 'close',
  };
  return { body, headers };
}

/** Answers whatever was thrown in the error format of rest-api.md §7.3; unexpected causes go to the log alone. */
export function answerError(thrown: Error, c: Context, log: Log): Response {
  if (thrown instanceof HTTPException) {
    return errorJson(c, thrown.status, thrown.message, { headers: Object.fromEntries(thrown.res?.headers ?? []) });
  }
  const status = thrown instanceof Failure ? STATUS[thrown.code] : undefined;
  const code = thrown instanceof Failure ? thrown.code : 'unexpected';
  if (status !== undefined) return errorJson(c, status, thrown.message, { code });
  log.error({ err: thrown, code, verdict: policy[code], path: c.req.path }, `request failed: ${describe(thrown)}`);
  return errorJson(c, 500, TEXTS.unexpected, { code });
}
