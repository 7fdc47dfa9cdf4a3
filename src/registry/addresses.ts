import ipaddr from 'ipaddr.js';

/**
 * Where a connection may lead:
 *
 * - `public`: addresses of the internet.
 * - `private`: those, and addresses of private networks (RFC 1918, shared address space, unique local).
 * - `any`: every address; for hosts that the configuration names.
 */
export type Reach = 'public' | 'private' | 'any';

const PRIVATE = ['private', 'carrierGradeNat', 'uniqueLocal'];
/** The well-known prefix of NAT64; the address behind it is in the last 32 bits (RFC 6052 §2.1). */
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96');

/**
 * Whether a connection of this reach may be made to an address. An IPv4 address inside an IPv6 one (mapped, NAT64) is
 * judged by itself. Loopback, link-local, multicast, unspecified, reserved and tunnelling addresses need `any`.
 *
 * @param address IPv4 or IPv6 as text, without brackets; what is no address is not permitted
 */
export function permitsAddress(reach: Reach, address: string): boolean {
  if (reach === 'any') return true;
  if (!ipaddr.isValid(address)) return false;
  const range = embedded(ipaddr.parse(address)).range();
  return range === 'unicast' || (reach === 'private' && PRIVATE.includes(range));
}

/** The address in the host of a URL, without the brackets of IPv6; undefined for a name. */
export function addressIn(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return ipaddr.isValid(bare) ? bare : undefined;
}

function embedded(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (!(address instanceof ipaddr.IPv6)) return address;
  if (address.range() === 'ipv4Mapped' || address.match(NAT64 as [ipaddr.IPv6, number])) {
    return new ipaddr.IPv4(address.toByteArray().slice(12));
  }
  return address;
}
