import type { Readable } from 'node:stream';
import { type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { Failure } from '../errors/failure.ts';
import { type CredentialStore, credentialFor } from './auth.ts';
import {
  type Access,
  accessKey,
  basicHeader,
  type Challenge,
  DEFAULT_TOKEN_LIFE,
  parseChallenge,
  TokenAnswer,
  tokenCall,
} from './authorization.ts';

export interface TransportOptions {
  auth: CredentialStore;
  /** Registries (host:port) spoken to over plain HTTP. */
  insecure: readonly string[];
  /** Milliseconds without any progress after which a call is given up. */
  callTimeout: number;
  signal?: AbortSignal;
}

export interface Call extends Access {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Below the registry (`/v2/…`), or the absolute Location of an upload. */
  path: string;
  headers?: Record<string, string>;
  /** Made anew when the call has to be sent again with a token. */
  body?: () => Buffer | Readable;
  /** The pull spec the call is about, for messages. */
  subject: string;
}

interface Grant {
  /** The value of `Authorization`. */
  header: string;
  /** Milliseconds since the epoch. */
  until: number;
}

export type Answer = Dispatcher.ResponseData;
export type Send = (call: Call) => Promise<Answer>;

/** One pool for all clients: credentials belong to calls, not to connections. Its limit is that of reads in flight. */
const connections = new EnvHttpProxyAgent({
  connections: 64,
  keepAliveTimeout: 30_000,
  connect: { timeout: 10_000 },
  // As Go programs do it, so that skopeo and we reach the same registries.
  noProxy: [process.env.NO_PROXY ?? process.env.no_proxy, 'localhost,127.0.0.1,::1'].filter(Boolean).join(','),
});

/** Docker Hub's API has another name than its pull specs. */
const API_HOSTS: Record<string, string> = { 'docker.io': 'registry-1.docker.io' };
const MOST_REDIRECTS = 5;
const MOST_GRANTS = 1000;

/**
 * Sends calls to registries: keep-alive, basic and bearer authentication, redirects (never with credentials to another
 * host, never from HTTPS down to HTTP). Statuses below 500 other than 401, 403 and 429 are the caller's to judge.
 *
 * @returns a function that throws Failure `registry_denied` (401, 403), `registry_unavailable` (network, 429, 5xx; with
 *   `Retry-After`) or the signal's reason
 */
export function createTransport({ auth, insecure, callTimeout, signal }: TransportOptions): Send {
  const grants = new Map<string, Promise<Grant>>();
  const basicRegistries = new Set<string>();
  const schemeOf = (registry: string) => (insecure.includes(registry) ? 'http:' : 'https:');

  return async function send(call) {
    const used = await known(call);
    const first = await exchange(call, used);
    if (first.statusCode !== 401) return judged(call, first);
    const challenge = parseChallenge(first.headers['www-authenticate']);
    await first.body.dump();
    const authorization = challenge === undefined ? undefined : await answerTo(challenge, call, used);
    if (authorization === undefined || authorization === used) throw denied(call);
    return judged(call, await exchange(call, authorization));
  };

  /** The header that worked for such a call before. */
  async function known(access: Access): Promise<string | undefined> {
    if (basicRegistries.has(access.registry)) return basicHeader(credentialOf(access));
    const grant = await grants.get(accessKey(access));
    return grant !== undefined && grant.until > Date.now() ? grant.header : undefined;
  }

  /** Answers a challenge; calls that are challenged at the same time share one token. */
  async function answerTo(challenge: Challenge, call: Call, used: string | undefined): Promise<string | undefined> {
    if (challenge.kind === 'basic') {
      basicRegistries.add(call.registry);
      return basicHeader(credentialOf(call));
    }
    const key = accessKey(call);
    const present = await grants.get(key);
    if (present !== undefined && present.until > Date.now() && present.header !== used) return present.header;
    if (grants.size >= MOST_GRANTS) grants.clear();
    const grant = fetchToken(call, challenge);
    grants.set(key, grant);
    try {
      return (await grant).header;
    } catch (thrown) {
      grants.delete(key);
      throw thrown;
    }
  }

  async function fetchToken(call: Call, challenge: Extract<Challenge, { kind: 'bearer' }>): Promise<Grant> {
    const asked = tokenCall(challenge, call, credentialOf(call));
    if (asked.url.protocol !== 'https:' && schemeOf(call.registry) === 'https:') {
      throw new Failure('registry_denied', `The registry ${call.registry} wants credentials sent over plain HTTP`);
    }
    const answer = await reach(call, asked.url, asked);
    if ((await judged(call, answer)).statusCode !== 200) {
      await answer.body.dump();
      throw denied(call);
    }
    const read = TokenAnswer.safeParse(await bodyJson(call, answer));
    const token = read.data?.token ?? read.data?.access_token;
    if (token === undefined) throw unavailable(call, 'gave no token', {});
    const life = read.data?.expires_in ?? DEFAULT_TOKEN_LIFE;
    // Used for four fifths of its life: the rest is for calls already on their way.
    return { header: `Bearer ${token}`, until: Date.now() + life * 800 };
  }

  async function exchange(call: Call, authorization: string | undefined): Promise<Answer> {
    const base = new URL(`${schemeOf(call.registry)}//${API_HOSTS[call.registry] ?? call.registry}`);
    let url = new URL(call.path, base);
    // Registries behind a proxy name their uploads with the scheme they see themselves.
    if (url.host === base.host) url.protocol = base.protocol;
    for (let hops = 0; ; hops += 1) {
      const own = url.host === base.host && url.protocol === base.protocol;
      const headers = { ...call.headers, ...(own && authorization !== undefined ? { authorization } : {}) };
      const answer = await reach(call, url, { method: call.method, headers, body: call.body?.() });
      const location = [answer.headers.location ?? []].flat()[0];
      const redirected = [301, 302, 303, 307, 308].includes(answer.statusCode) && location !== undefined;
      if (!redirected || !['GET', 'HEAD'].includes(call.method)) return answer;
      await answer.body.dump();
      const next = new URL(location, url);
      if (hops === MOST_REDIRECTS) throw unavailable(call, 'redirects without end', {});
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw new Failure('registry_refused', `The registry ${call.registry} redirects ${call.subject} to plain HTTP`);
      }
      url = next;
    }
  }

  async function reach(
    call: Call,
    url: URL,
    {
      method,
      headers,
      body,
    }: { method: Call['method']; headers: Record<string, string>; body?: string | Buffer | Readable | undefined },
  ): Promise<Answer> {
    try {
      return await request(url, {
        method,
        headers,
        body: body ?? null,
        dispatcher: connections,
        headersTimeout: callTimeout,
        bodyTimeout: callTimeout,
        signal: signal ?? null,
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unreachable(call, cause);
    }
  }

  async function judged(call: Call, answer: Answer): Promise<Answer> {
    const { statusCode, headers } = answer;
    if (statusCode !== 401 && statusCode !== 403 && statusCode !== 429 && statusCode < 500) return answer;
    await answer.body.dump();
    if (statusCode === 401 || statusCode === 403) throw denied(call);
    throw unavailable(call, `answered ${statusCode}`, { retryAfter: retryAfter(headers['retry-after']) });
  }

  function credentialOf({ registry, repository = '' }: Access) {
    return credentialFor(auth, registry, repository);
  }

  function denied(call: Call): Failure {
    return new Failure(
      'registry_denied',
      credentialOf(call) === undefined
        ? `The registry ${call.registry} wants credentials for ${call.subject}, and there are none for it.`
        : `The registry ${call.registry} refused the credentials for ${call.subject}.`,
    );
  }
}

/** A network error of a call as Failure `registry_unavailable`, naming the registry and the error's code. */
export function unreachable(call: Pick<Call, 'registry'>, cause: unknown): Failure {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return unavailable(call, `cannot be reached${code}`, { cause });
}

function unavailable(
  { registry }: Pick<Call, 'registry'>,
  what: string,
  options: { cause?: unknown; retryAfter?: number | undefined },
): Failure {
  return new Failure('registry_unavailable', `The registry ${registry} ${what}`, options);
}

async function bodyJson(call: Call, answer: Answer): Promise<unknown> {
  try {
    return await answer.body.json();
  } catch (cause) {
    throw unreachable(call, cause);
  }
}

/** Seconds to wait, of a header that holds seconds or a date. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const text = [header ?? []].flat()[0];
  if (text === undefined) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}
