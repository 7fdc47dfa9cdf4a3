import { BlockList, isIP } from 'node:net';
import type { Context } from 'hono';
import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { fail, TEXTS } from './answers.ts';

/** Who calls: the principal a trusted proxy names, verbatim; null = anonymous (rest-api.md §7.1). */
export type PrincipalOf = (c: Context) => string | null;

/**
 * Reads principals from the configured header, from peers that are believed. Entries of `trustedProxies` are addresses
 * or networks (`10.0.0.0/8`).
 *
 * @throws Failure `configuration_invalid` for an entry that is neither
 */
export function principalReader({ userHeader, trustedProxies }: Config['api']): PrincipalOf {
  const trusted = new BlockList();
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/');
    const version = isIP(address);
    if (version === 0) throw new Failure('configuration_invalid', `api.trustedProxies: ${entry} is not an address`);
    const family = version === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  return (c) => {
    const peer = peerOf(c);
    const believed = peer !== undefined && trusted.check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4');
    return (believed && c.req.header(userHeader)) || null;
  };
}

/** The principal, who must be there unless login is disabled (rest-api.md §7.2). */
export function requirePrincipal(
  c: Context,
  principalOf: PrincipalOf,
  { loginDisabled }: Config['api'],
): string | null {
  const principal = principalOf(c);
  if (principal === null && !loginDisabled) fail(401, TEXTS.unauthorized);
  return principal;
}

/** The worker's principal; anonymous callers pass where login is disabled (rest-api.md §6, checks 1 and 2). */
export function requireWorker(c: Context, principalOf: PrincipalOf, api: Config['api']): void {
  const principal = requirePrincipal(c, principalOf, api);
  if (principal !== null && !api.workerUsers.includes(principal)) fail(403, TEXTS.workersOnly);
}

/** The address at the other end of the connection, IPv4 in its own form even on a dual-stack socket. */
function peerOf(c: Context): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
}
