import { z } from 'zod';
import type { Credential } from './auth.ts';
import { parseChallenges } from './challenges.ts';
import { goInteger, goString } from './go-json.ts';
import { parseJsonDocument } from './json-document.ts';

/** What a call wants to do, for a token's scope: `repository:{repository}:{actions}`. */
export interface Access {
  registry: string;
  /** Absent for calls to no repository (`/v2/`). */
  repository?: string;
  actions: 'pull' | 'pull,push' | 'delete';
  /** Another repository a blob is mounted from. */
  mountFrom?: string;
}

/** A bearer challenge that can be answered: where a token is asked for, and with what. */
export interface BearerOffer {
  realm: URL;
  service?: string;
  scopes: string[];
}

/** What a registry's challenges offer that we can answer. */
export interface Offers {
  bearer?: BearerOffer;
  basic: boolean;
  /** Why bearer challenges cannot be answered, where there are nothing but such. */
  mistake?: string;
}

/** A call to a token service. */
export interface TokenCall {
  url: URL;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
}

/** The shortest time in seconds for which a token is taken to live, as containers/image has it. */
const SHORTEST_TOKEN_LIFE = 60;
/** What HTTP lets stand in the value of a header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The answer of a token service, whose field names count in any case, as they do to Go programs. */
const TokenAnswer = z.preprocess(
  (json) =>
    isObject(json) ? Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value])) : json,
  z.looseObject({ token: goString, access_token: goString, expires_in: goInteger }),
);

/**
 * Reads the answer of a token service.
 *
 * @returns the token, and for how many seconds it is to be used; undefined where the answer holds none
 */
export function parseToken(bytes: Buffer): { token: string; life: number } | undefined {
  let json: unknown;
  try {
    json = parseJsonDocument(bytes);
  } catch {
    return undefined;
  }
  const { data } = TokenAnswer.safeParse(json);
  const token = data?.token ?? data?.access_token;
  if (token === undefined || !HEADER_VALUE.test(token)) return undefined;
  return { token, life: Math.max(data?.expires_in ?? 0, SHORTEST_TOKEN_LIFE) };
}

/** What the challenges of `WWW-Authenticate` offer; of several bearer challenges the first that can be answered. */
export function offersIn(header: string | string[] | undefined): Offers {
  const challenges = parseChallenges(header);
  const basic = challenges.some(({ scheme }) => scheme === 'basic');
  let mistake: string | undefined;
  for (const { scheme, parameters } of challenges) {
    if (scheme !== 'bearer') continue;
    const text = parameters.get('realm') ?? '';
    const realm = URL.parse(text);
    if (realm !== null) return { basic, bearer: bearerOffer(realm, parameters) };
    mistake ??= text === '' ? 'names no token service' : 'names a token service that is no URL';
  }
  return mistake === undefined || basic ? { basic } : { basic, mistake };
}

function bearerOffer(realm: URL, parameters: ReadonlyMap<string, string>): BearerOffer {
  const service = parameters.get('service');
  const scopes = (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
  return { realm, scopes, ...(service ? { service } : {}) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a basic challenge is answered with; nothing when there is no password to answer with. */
export function basicHeader(credential: Credential | undefined): string | undefined {
  if (credential?.kind !== 'password') return undefined;
  return `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}`;
}

/** The call that fetches a token for this access; anonymous without credential. */
export function tokenCall(offer: BearerOffer, access: Access, credential: Credential | undefined): TokenCall {
  const scopes = [...new Set([...offer.scopes, ...scopesOf(access)])];
  const url = new URL(offer.realm);
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credential.token,
      service: offer.service ?? '',
      client_id: 'indexwright',
      scope: scopes.join(' '),
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { url, method: 'POST', headers, body: form.toString() };
  }
  if (offer.service !== undefined) url.searchParams.set('service', offer.service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const authorization = basicHeader(credential);
  return { url, method: 'GET', headers: authorization === undefined ? {} : { authorization } };
}

/** Names a kind of access, so that what was granted for it once is used again. */
export function accessKey({ registry, repository = '', actions, mountFrom = '' }: Access): string {
  return [registry, repository, actions, mountFrom].join(' ');
}

function scopesOf({ repository, actions, mountFrom }: Access): string[] {
  return [
    ...(repository === undefined ? [] : [`repository:${repository}:${actions}`]),
    ...(mountFrom === undefined ? [] : [`repository:${mountFrom}:pull`]),
  ];
}
