import type { Readable } from 'node:stream';
import { type Dispatcher, request } from 'undici';
import { Failure } from '../errors/failure.ts';
import { type CredentialStore, credentialFor } from './auth.ts';
import {
  type Access,
  accessKey,
  type BearerOffer,
  basicHeader,
  offersIn,
  parseToken,
  tokenCall,
} from './authorization.ts';
import { type Body, bodyOf } from './body.ts';
import { type Begun, connectionsTo } from './connections.ts';
import { assertAllowed, NO_RULES, namedUrl, type Origin, originOf, type RegistryRules, reachOf } from './hops.ts';
import { startPace, type TransferLimits } from './pace.ts';
import { networkFailure } from './unreachable.ts';

export interface TransportOptions {
  auth: CredentialStore;
  /** Registries (host:port) spoken to over plain HTTP. */
  insecure: readonly string[];
  /** Which registries may be called, and which may be inside the network; see {@link NO_RULES} for none. */
  rules?: RegistryRules;
  /** Milliseconds from a request to the headers of its answer, and for each body that is read into memory. */
  callTimeout: number;
  /** What blobs must keep to, both ways; its window is `callTimeout`. */
  transfer?: Omit<TransferLimits, 'window'>;
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

export interface Answer {
  statusCode: number;
  headers: Record<string, string | string[] | undefined>;
  body: Body;
}
export type Send = (call: Call) => Promise<Answer>;

interface Grant {
  /** The value of `Authorization`. */
  header: string;
  /** Milliseconds since the epoch. */
  until: number;
}

/** One HTTP request of a call. */
interface Hop {
  method: Call['method'];
  headers: Record<string, string>;
  body?: string | Buffer | Readable | undefined;
}

/** Bytes per second, and milliseconds, where the caller names none. */
export const DEFAULT_TRANSFER = { minimumRate: 1024, total: 30 * 60_000 };
/** As many as Go's client follows. */
const MOST_REDIRECTS = 10;
const MOST_GRANTS = 1000;
/** Bytes, as containers/image has it. */
const LARGEST_TOKEN_ANSWER = 1024 * 1024;

/**
 * Sends calls to registries: keep-alive, basic and bearer authentication, redirects (never with credentials to another
 * host, never from HTTPS down to HTTP, never to addresses inside the network that the configuration does not vouch for).
 * Statuses below 500 other than 401, 403 and 429 are the caller's to judge.
 *
 * @returns a function that throws Failure `registry_not_allowed`, `registry_denied` (401, 403), `registry_unavailable`
 *   (network, 429, 5xx; with `Retry-After`), `registry_slow`, `registry_tls_failed`, `registry_address_refused`,
 *   `registry_answer_invalid`, `registry_refused` (by the token service), `pull_spec_invalid`, or the signal's reason
 */
export function createTransport(options: TransportOptions): Send {
  const { auth, insecure, rules = NO_RULES, callTimeout, transfer = DEFAULT_TRANSFER, signal } = options;
  const limits: TransferLimits = { ...transfer, window: callTimeout };
  const grants = new Map<string, Promise<Grant>>();
  const basicRegistries = new Set<string>();

  return async function send(call) {
    const { registry, repository, mountFrom } = call;
    for (const path of [repository, mountFrom]) {
      assertAllowed(rules, path === undefined ? registry : `${registry}/${path}`);
    }
    const origin = originOf(registry, insecure, rules);
    const used = await known(call);
    const first = await exchange(call, origin, used);
    if (first.statusCode !== 401) return judged(call, first);
    const challenge = first.headers['www-authenticate'];
    await first.body.discard();
    const authorization = await answerTo(challenge, call, origin, used);
    if (authorization === undefined || authorization === used) throw denied(call);
    return judged(call, await exchange(call, origin, authorization));
  };

  /** The header that worked for such a call before. */
  async function known(access: Access): Promise<string | undefined> {
    if (basicRegistries.has(access.registry)) return basicHeader(credentialOf(access));
    const grant = await grants.get(accessKey(access));
    return grant !== undefined && grant.until > Date.now() ? grant.header : undefined;
  }

  /**
   * Answers challenges: bearer before basic where a registry offers both. Calls that are challenged at the same time share
   * one token.
   */
  async function answerTo(
    header: string | string[] | undefined,
    call: Call,
    origin: Origin,
    used: string | undefined,
  ): Promise<string | undefined> {
    const { bearer, basic, mistake } = offersIn(header);
    if (mistake !== undefined) throw invalid(call, mistake);
    if (bearer === undefined) {
      if (basic) basicRegistries.add(call.registry);
      return basic ? basicHeader(credentialOf(call)) : undefined;
    }
    const key = accessKey(call);
    const present = await grants.get(key);
    if (present !== undefined && present.until > Date.now() && present.header !== used) return present.header;
    if (grants.size >= MOST_GRANTS) grants.clear();
    const grant = fetchToken(call, origin, bearer);
    grants.set(key, grant);
    try {
      return (await grant).header;
    } catch (thrown) {
      grants.delete(key);
      throw thrown;
    }
  }

  async function fetchToken(call: Call, origin: Origin, offer: BearerOffer): Promise<Grant> {
    const asked = tokenCall(offer, call, credentialOf(call));
    const subject = `a token for ${call.subject}`;
    const what = 'names a token service that leads';
    const realm = namedUrl(origin, { text: asked.url.href, from: origin.base, what, insecure });
    const { authorization, ...headers } = asked.headers;
    const answer = await judged(
      call,
      await follow({ ...call, subject, method: asked.method }, origin, realm, {
        own: realm,
        hop: () => ({ method: asked.method, headers, body: asked.body }),
        authorization,
      }),
    );
    if (answer.statusCode !== 200) {
      await answer.body.discard();
      throw new Failure(
        'registry_refused',
        `The token service of the registry ${call.registry} refused ${subject} (status ${answer.statusCode})`,
      );
    }
    const read = parseToken(await answer.body.bytes(LARGEST_TOKEN_ANSWER, 'registry_answer_invalid'));
    if (read === undefined) throw invalid(call, 'has a token service whose answer holds no token');
    // Used for four fifths of its life: the rest is for calls already on their way.
    return { header: `Bearer ${read.token}`, until: Date.now() + read.life * 800 };
  }

  async function exchange(call: Call, origin: Origin, authorization: string | undefined): Promise<Answer> {
    const named = URL.parse(call.path, origin.base.href);
    // Registries behind a proxy name their uploads with the scheme they see themselves.
    if (named?.host === origin.base.host) named.protocol = origin.base.protocol;
    const what = 'wants an upload sent';
    const url = namedUrl(origin, { text: named?.href ?? call.path, from: origin.base, what, insecure });
    return follow(call, origin, url, {
      own: origin.base,
      hop: () => ({ method: call.method, headers: call.headers ?? {}, body: call.body?.() }),
      authorization,
    });
  }

  /** Sends a request and follows its redirects; credentials go to the host they are for alone. */
  async function follow(
    call: Call,
    origin: Origin,
    start: URL,
    { own, hop, authorization }: { own: URL; hop: () => Hop; authorization: string | undefined },
  ): Promise<Answer> {
    let url = start;
    for (let hops = 0; ; hops += 1) {
      const { headers, ...rest } = hop();
      const ours = url.host === own.host && url.protocol === own.protocol;
      const withCredentials = ours && authorization !== undefined ? { ...headers, authorization } : headers;
      const answer = await reach(call, origin, url, { ...rest, headers: withCredentials });
      const location = [answer.headers.location ?? []].flat()[0];
      const redirected = [301, 302, 303, 307, 308].includes(answer.statusCode) && location !== undefined;
      if (!redirected || !['GET', 'HEAD'].includes(call.method)) return answer;
      await answer.body.discard();
      if (hops === MOST_REDIRECTS) throw invalid(call, `redirects ${call.subject} more than ${MOST_REDIRECTS} times`);
      const next = namedUrl(origin, { text: location, from: url, what: `redirects ${call.subject}`, insecure });
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw invalid(call, `redirects ${call.subject} from HTTPS to plain HTTP`);
      }
      url = next;
    }
  }

  async function reach(call: Call, origin: Origin, url: URL, { method, headers, body }: Hop): Promise<Answer> {
    const stop = new AbortController();
    const tooSlow = (what: string) =>
      stop.abort(new Failure('registry_slow', `The registry ${call.registry} is too slow: ${call.subject} ${what}`));
    let headersTimer: NodeJS.Timeout | undefined;
    let answered = false;
    const awaitHeaders = () => {
      if (answered) return;
      // undici sends a request again that a connection closed upon before it was read.
      clearTimeout(headersTimer);
      headersTimer = setTimeout(() => tooSlow(`has no answer after ${callTimeout / 1000} s`), callTimeout);
    };
    try {
      const sent = typeof body === 'object' && !Buffer.isBuffer(body) ? upload(body, tooSlow, awaitHeaders) : body;
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
      const options: Omit<Dispatcher.RequestOptions<null>, 'origin' | 'path'> & { dispatcher: Dispatcher } & Begun = {
        method,
        headers,
        body: (sent as Dispatcher.DispatchOptions['body']) ?? null,
        dispatcher: connectionsTo(url, reachOf(origin, url, insecure, rules)),
        // Watched here, and by the body, which knows when nobody reads it.
        headersTimeout: 0,
        bodyTimeout: 0,
        begun: sent === body ? awaitHeaders : () => {},
        signal: either,
      };
      const asked = request(url, options);
      // While it waits for a connection, undici heeds no signal.
      const answer = await orAborted(asked, either);
      return { ...answer, body: bodyFor(call, answer) };
    } catch (cause) {
      signal?.throwIfAborted();
      throw networkFailure(call, cause);
    } finally {
      answered = true;
      clearTimeout(headersTimer);
    }
  }

  /** The content of an upload, whose reader must keep to the limits; what follows it is the wait for the answer. */
  async function* upload(body: Readable, tooSlow: (what: string) => void, sent: () => void): AsyncGenerator<Buffer> {
    const pace = startPace(limits, tooSlow);
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        pace.wait();
        yield chunk;
        pace.moved(chunk.length);
      }
      sent();
    } finally {
      pace.end();
    }
  }

  function bodyFor(call: Call, { body, headers }: Dispatcher.ResponseData): Body {
    const { registry, subject } = call;
    const failureOf = (cause: unknown) => networkFailure(call, cause);
    return bodyOf(body, { registry, subject, headers, limits, documentTime: callTimeout, signal, failureOf });
  }

  async function judged(call: Call, answer: Answer): Promise<Answer> {
    const { statusCode, headers } = answer;
    if (statusCode !== 401 && statusCode !== 403 && statusCode !== 429 && statusCode < 500) return answer;
    await answer.body.discard();
    if (statusCode === 401 || statusCode === 403) throw denied(call);
    throw new Failure('registry_unavailable', `The registry ${call.registry} answered ${statusCode}`, {
      retryAfter: retryAfter(headers['retry-after']),
    });
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

/** What the work comes to, or the signal's reason, whichever is first. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop);
  try {
    return await Promise.race([work, promise]);
  } finally {
    // A signal made of others lives as long as they do while somebody listens to it.
    signal.removeEventListener('abort', stop);
  }
}

function invalid({ registry }: Pick<Call, 'registry'>, what: string): Failure {
  return new Failure('registry_answer_invalid', `The registry ${registry} ${what}`);
}

/** Seconds to wait, of a header that holds seconds or a date. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const text = [header ?? []].flat()[0];
  if (text === undefined) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}
