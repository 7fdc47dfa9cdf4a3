import { Failure } from '../../errors/failure.ts';

/** A version as the numbers between its dots. */
export type OcpVersion = readonly number[];

/** Label in which a bundle says for which OCP versions it is. */
export const OCP_VERSIONS_LABEL = 'com.redhat.openshift.versions';

/**
 * The version of an index, from its label: `v4.19`.
 *
 * @throws Failure `index_version_invalid`
 */
export function indexVersion(text: string): OcpVersion {
  const version = parsed(text);
  if (version !== undefined) return version;
  throw new Failure('index_version_invalid', `Invalid OCP version, "${text}", specified in Index Image`);
}

/**
 * Whether a bundle is for an index of this version, by its label; undefined when the label says nothing that can be
 * understood (request-handling.md §10.11). An empty label is for its callers to allow.
 */
export function fitsVersion(label: string, index: OcpVersion): boolean | undefined {
  if (label.includes('|')) return fitsOneOf(label.split('|'), index);
  if (label.startsWith('=')) return compared(index, label.slice(1), (order) => order === 0);
  if (label.includes('-')) return fitsRange(label.split('-'), index);
  if (label.includes(',')) return fitsLowest(label.split(','), index);
  return compared(index, label, (order) => order >= 0);
}

function fitsOneOf(parts: readonly string[], index: OcpVersion): boolean | undefined {
  const verdicts = parts.map((part) => {
    if (part.startsWith('>=')) return compared(index, part.slice(2), (order) => order >= 0);
    return part.startsWith('=') ? compared(index, part.slice(1), (order) => order === 0) : undefined;
  });
  return verdicts.includes(undefined) ? undefined : verdicts.includes(true);
}

function fitsRange(parts: readonly string[], index: OcpVersion): boolean | undefined {
  const [low, high] = parts.map(parsed);
  if (parts.length !== 2 || low === undefined || high === undefined) return undefined;
  return order(low, index) <= 0 && order(index, high) <= 0;
}

/** The others of the list are ignored: what fits a version fits those above. */
function fitsLowest(parts: readonly string[], index: OcpVersion): boolean | undefined {
  const versions = parts.map(parsed);
  if (versions.includes(undefined)) return undefined;
  return versions.some((version) => version !== undefined && order(version, index) <= 0);
}

function compared(index: OcpVersion, text: string, holds: (order: number) => boolean): boolean | undefined {
  const version = parsed(text);
  return version === undefined ? undefined : holds(order(index, version));
}

function parsed(text: string): OcpVersion | undefined {
  const digits = /^v?(\d+(?:\.\d+)*)$/.exec(text.trim())?.[1];
  return digits?.split('.').map(Number);
}

function order(a: OcpVersion, b: OcpVersion): number {
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
