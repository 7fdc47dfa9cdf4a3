import { Branches, Commits, MergeRequestNotes, MergeRequests, Projects } from '@gitbeaker/rest';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { mask, registerSecret } from '../telemetry/secrets.ts';
import type { Remote } from './git.ts';
import type { RepositoryUrl } from './repository-url.ts';
import { isTemporary } from './temporary.ts';

/** What GitLab's REST API is spoken to with. */
export interface GitLabAccess {
  url: RepositoryUrl;
  token: string;
  /** Milliseconds one call may take. */
  callTimeout: number;
}

/** The same repository as git speaks to it: what was pushed shows there at once, and in REST only later. */
export const remoteOf = ({ url, token, callTimeout }: GitLabAccess): Remote => ({ url, token, stall: callTimeout });

/** A failure that GitLab's answer, or the lack of one, is the reason of. */
export class GitLabFailure extends Failure {
  /** HTTP status; null when there was no answer: then nobody knows whether the call took effect. */
  readonly status: number | null;
  /** GitLab's own words. */
  readonly reason: string;
  /** GitLab's word for programs, where it has one (`empty`, `conflict` of a revert). */
  readonly errorCode: string | undefined;

  constructor(
    code: Failure['code'],
    message: string,
    answer: {
      status: number | null;
      reason: string;
      errorCode?: string | undefined;
      retryAfter?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(code, mask(message), { cause: answer.cause, retryAfter: answer.retryAfter });
    this.status = answer.status;
    this.reason = mask(answer.reason);
    this.errorCode = answer.errorCode;
  }

  /** The call may have taken effect all the same: no answer, or one of a server or proxy that lost it. */
  get outcomeUnknown(): boolean {
    return this.status === null || this.status === 408 || this.status >= 500;
  }
}

type ResourceOptions = NonNullable<ConstructorParameters<typeof MergeRequests>[0]>;
type RequesterFn = NonNullable<ResourceOptions['requesterFn']>;
type Requester = ReturnType<RequesterFn>;
type Resource = Parameters<RequesterFn>[0];
type Call = { body?: unknown; searchParams?: Record<string, unknown> };

/**
 * GitLab's resources for one use. The library's own requester sends a call up to ten times within a third of a second,
 * POSTs too, and knows no Retry-After; ours sends it once and says what came of it.
 */
export function gitlab(access: GitLabAccess, signal: AbortSignal) {
  registerSecret(access.token);
  const options = {
    host: access.url.host,
    oauthToken: access.token,
    queryTimeout: null,
    requesterFn: requester(access, signal),
  };
  return {
    branches: new Branches(options),
    commits: new Commits(options),
    mergeRequests: new MergeRequests(options),
    notes: new MergeRequestNotes(options),
    projects: new Projects(options),
  };
}

function requester(access: GitLabAccess, signal: AbortSignal): RequesterFn {
  return (resource) => {
    const send = (method: string) => (endpoint: string, call?: Call) =>
      once(access, resource, method, endpoint, call, signal);
    return {
      get: send('GET'),
      post: send('POST'),
      put: send('PUT'),
      patch: send('PATCH'),
      delete: send('DELETE'),
    } as Requester;
  };
}

async function once(
  access: GitLabAccess,
  resource: Resource,
  method: string,
  endpoint: string,
  call: Call = {},
  signal: AbortSignal,
): Promise<{ body: unknown; headers: Record<string, string>; status: number }> {
  signal.throwIfAborted();
  const url = new URL(`${resource.url.replace(/\/+$/, '')}/${endpoint}`);
  for (const [key, value] of Object.entries(snakeCase(call.searchParams ?? {})))
    url.searchParams.set(key, String(value));
  const authorization = await resource.authHeaders.authorization?.();
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(access.callTimeout)]),
      headers: { accept: 'application/json', ...(authorization && { authorization }), ...(call.body ? JSON_BODY : {}) },
      ...(call.body ? { body: JSON.stringify(snakeCase(call.body)) } : {}),
    });
    text = await response.text();
  } catch (cause) {
    signal.throwIfAborted();
    const timedOut = cause instanceof Error && cause.name === 'TimeoutError';
    const reason = timedOut ? `no answer within ${access.callTimeout / 1000} s` : 'no connection';
    throw new GitLabFailure('gitlab_unavailable', `GitLab API request failed: ${reason}`, {
      status: null,
      reason,
      cause,
    });
  }
  if (!response.ok) throw refusal(access, response, text);
  return { body: jsonOf(text), headers: Object.fromEntries(response.headers), status: response.status };
}

const JSON_BODY = { 'content-type': 'application/json' };

/** gitbeaker names parameters as JavaScript does and leaves it to the requester to send them as GitLab does. */
function snakeCase(named: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(named)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  );
}

function jsonOf(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return text;
  }
}

/** Either key may hold a sentence, a list of them, or lists of them by field: it differs by call and by version. */
const ErrorBody = z.object({
  message: z.unknown().optional(),
  error: z.unknown().optional(),
  error_description: z.string().nullish(),
});

/** Longer words of GitLab's are cut. */
const LONGEST_REASON = 2000;

/** GitLab's words from an error's body in any of its shapes; a proxy's HTML page is reduced to its title. */
function reasonOf(text: string, status: number): string {
  const { data } = ErrorBody.safeParse(jsonOf(text));
  const said = data && (data.error_description || wordsOf(data.message) || wordsOf(data.error));
  if (said) return said.slice(0, LONGEST_REASON);
  const title = /<title[^>]*>([^<]*)</i.exec(text)?.[1] ?? (/[<{[]/.test(text) ? '' : text);
  return title.trim().replace(/\s+/g, ' ').slice(0, 200) || `HTTP ${status}`;
}

/** Fields that stand for the whole call and not for one of its parameters. */
const NO_FIELD = new Set(['base', 'error', 'message']);

function wordsOf(said: unknown): string {
  if (said === null || said === undefined) return '';
  if (Array.isArray(said)) return said.map(wordsOf).filter(Boolean).join('; ');
  if (typeof said !== 'object') return String(said);
  return Object.entries(said)
    .map(([field, value]) => {
      const words = Array.isArray(value) ? value.map(wordsOf).join(', ') : wordsOf(value);
      return NO_FIELD.has(field) ? words : `${field}: ${words}`;
    })
    .join('; ');
}

function refusal({ url }: GitLabAccess, response: Response, text: string): GitLabFailure {
  const { status } = response;
  const reason = reasonOf(text, status);
  const errorCode = z.object({ error_code: z.string() }).safeParse(jsonOf(text)).data?.error_code;
  const answer = { status, reason, errorCode };
  const said = `GitLab answers ${status} for ${url.project}`;
  switch (true) {
    case status === 408 || status === 429 || status >= 500 || (status >= 400 && isTemporary(reason)):
      return new GitLabFailure('gitlab_unavailable', `GitLab API request failed: HTTP ${status} (${reason})`, {
        ...answer,
        retryAfter: retryAfter(response),
      });
    case status === 401:
      return new GitLabFailure('gitlab_denied', `${said}: the token is wrong, expired or revoked (${reason})`, answer);
    case status === 403:
      return new GitLabFailure(
        'gitlab_denied',
        `${said}: the token's role or scopes (api, write_repository) do not suffice (${reason})`,
        answer,
      );
    case status >= 300 && status < 400:
      return new GitLabFailure('gitlab_refused', `${said}: the project has moved, its URL must be mended`, answer);
    default:
      return new GitLabFailure('gitlab_refused', `${said}: ${reason}`, answer);
  }
}

/** Seconds, from either form of the header. */
function retryAfter(response: Response): number | undefined {
  const header = response.headers.get('retry-after');
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

/**
 * The part of an answer we use.
 *
 * @throws Failure `answer_unreadable` naming what is wrong with it
 */
export function readAnswer<Schema extends z.ZodType>(schema: Schema, what: string, answer: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new Failure('answer_unreadable', `GitLab's answer about ${what} cannot be read`, {
    cause: new Error(z.prettifyError(parsed.error)),
  });
}

/** The value, or null when GitLab says that there is no such thing. */
export async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (thrown) {
    if (thrown instanceof GitLabFailure && thrown.status === 404) return null;
    throw thrown;
  }
}
