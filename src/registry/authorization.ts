import { z } from 'zod';
import type { Credential } from './auth.ts';

/** What a call wants to do, for a token's scope: `repository:{repository}:{actions}`. */
export interface Access {
  registry: string;
  /** Absent for calls to no repository (`/v2/`). */
  repository?: string;
  actions: 'pull' | 'pull,push' | 'delete';
  /** Another repository a blob is mounted from. */
  mountFrom?: string;
}

export type Challenge = { kind: 'basic' } | { kind: 'bearer'; realm: string; service?: string; scopes: string[] };

/** A call to a token service. */
export interface TokenCall {
  url: URL;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
}

export const TokenAnswer = z.looseObject({
  token: z.string().optional(),
  access_token: z.string().optional(),
  /** Seconds. */
  expires_in: z.number().positive().optional(),
});

/** Seconds a token lives when its service does not say. */
export const DEFAULT_TOKEN_LIFE = 60;

/** Reads `WWW-Authenticate`; bearer before basic where a registry offers both. */
export function parseChallenge(header: string | string[] | undefined): Challenge | undefined {
  const offers = [header ?? []].flat().join(', ');
  const bearer = /\bBearer\s+(.*)$/i.exec(offers)?.[1];
  if (bearer !== undefined) {
    const parameters = new Map(
      [...bearer.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    );
    const realm = parameters.get('realm');
    const service = parameters.get('service');
    const scopes = (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
    if (realm !== undefined) return { kind: 'bearer', realm, scopes, ...(service === undefined ? {} : { service }) };
  }
  return /\bBasic\b/i.test(offers) ? { kind: 'basic' } : undefined;
}

/** What a basic challenge is answered with; nothing when there is no password to answer with. */
export function basicHeader(credential: Credential | undefined): string | undefined {
  if (credential?.kind !== 'password') return undefined;
  return `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}`;
}

/** The call that fetches a token for this access; anonymous without credential. */
export function tokenCall(
  challenge: Extract<Challenge, { kind: 'bearer' }>,
  access: Access,
  credential: Credential | undefined,
): TokenCall {
  const scopes = [...new Set([...challenge.scopes, ...scopesOf(access)])];
  const url = new URL(challenge.realm);
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credential.token,
      service: challenge.service ?? '',
      client_id: 'indexwright',
      scope: scopes.join(' '),
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { url, method: 'POST', headers, body: form.toString() };
  }
  if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
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
