import { BlockList, isIP } from 'node:net';
import type { Context } from 'hono';
import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { fail, TEXTS } from './answers.ts';
import type { BearerHolderOf } from './bearer.ts';
import { holds, type Identity, type Role } from './roles.ts';

/** Fails with 401 for a bearer token that is not accepted: whoever shows one is never taken for somebody else. */
export type IdentityOf = (c: Context) => Promise<Identity>;

/**
 * Reads who calls: from the configured header, if the peer is believed; else from a bearer token. Entries of
 * `trustedProxies` are addresses or networks (`10.0.0.0/8`).
 *
 * @throws Failure `configuration_invalid` for an entry that is neither
 */
export function identityReader({ userHeader, trustedProxies }: Config['api'], bearer: BearerHolderOf): IdentityOf {
  const trusted = new BlockList();
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/');
    const version = isIP(address);
    if (version === 0) throw new Failure('configuration_invalid', `api.trustedProxies: ${entry} is not an address`);
    const family = version === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  return async (c) => {
    const peer = peerOf(c);
    const believed = peer !== undefined && trusted.check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4');
    const named = believed && c.req.header(userHeader);
    if (named) return { user: named, groups: [] };
    const token = /^Bearer +([^\s]+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
    if (token === undefined) return { user: null, groups: [] };
    return (
      (await bearer(token)) ?? fail(401, TEXTS.unauthorized, { 'www-authenticate': 'Bearer error="invalid_token"' })
    );
  };
}

/** What a role lets people do, for the answer to those who lack it. */
const REFUSALS: Record<Role, string> = {
  submit: TEXTS.submittersOnly,
  overwrite: TEXTS.overwritersOnly,
  worker: TEXTS.workersOnly,
  admin: TEXTS.adminsOnly,
};

/** The caller, who must hold the role, and be known unless login is disabled (rest-api.md §6, §7.2). Fails 401, 403. */
export async function requireRole(
  c: Context,
  role: Role,
  { identityOf, config: { api } }: { identityOf: IdentityOf; config: Pick<Config, 'api'> },
): Promise<Identity> {
  const identity = await identityOf(c);
  if (identity.user === null && !api.loginDisabled) {
    fail(401, TEXTS.unauthorized, { 'www-authenticate': api.oidc === undefined ? 'Negotiate' : 'Negotiate, Bearer' });
  }
  checkRole(identity, role, api);
  return identity;
}

/** Fails 403 when a caller who got in lacks the role. */
export function checkRole(identity: Identity, role: Role, api: Config['api']): void {
  if (!holds(identity, role, api)) fail(403, REFUSALS[role]);
}

/** The address at the other end of the connection, IPv4 in its own form even on a dual-stack socket. */
function peerOf(c: Context): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
}
