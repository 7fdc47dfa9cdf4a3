import { Failure } from '../errors/failure.ts';
import type { Reach } from './addresses.ts';

/** Which registries and hosts the configuration vouches for, and which ones may be called at all. */
export interface RegistryRules {
  /**
   * Hosts that may be at addresses inside the network: `host`, `host:port`, `*.domain` for all hosts below a domain, or
   * `all` for every registry that is called.
   */
  trusted: readonly string[] | 'all';
  /** Registries, or `registry/path` with all repositories below it, that may be called; all when absent. */
  allowed?: readonly string[] | undefined;
}

/** Only registries spoken to over plain HTTP are trusted, and all may be called. */
export const NO_RULES: RegistryRules = { trusted: [] };

/** A registry as calls see it. */
export interface Origin {
  registry: string;
  /** Of its API. */
  base: URL;
  /** Whether the configuration vouches for it. */
  trusted: boolean;
}

/** Docker Hub's API has another name than its pull specs. */
const API_HOSTS: Record<string, string> = { 'docker.io': 'registry-1.docker.io' };

/**
 * Makes sure that a repository may be called: an entry is its registry, itself, or a path above it.
 *
 * @param repository `registry/path`
 * @throws Failure `registry_not_allowed`
 */
export function assertAllowed({ allowed }: Pick<RegistryRules, 'allowed'>, repository: string): void {
  if (allowed === undefined) return;
  if (allowed.some((entry) => repository === entry || repository.startsWith(`${entry}/`))) return;
  throw new Failure(
    'registry_not_allowed',
    `${repository} is not in a registry that this service reads. Its configuration lists those it does (registry.allowed).`,
  );
}

/**
 * Where a registry's API is.
 *
 * @throws Failure `pull_spec_invalid` when its name cannot be the host of a URL
 */
export function originOf(registry: string, insecure: readonly string[], rules: RegistryRules): Origin {
  const plain = insecure.includes(registry);
  const base = URL.parse(`${plain ? 'http' : 'https'}://${API_HOSTS[registry] ?? registry}`);
  if (base === null) throw new Failure('pull_spec_invalid', `'${registry}' is not a registry`);
  const trusted = plain || rules.trusted === 'all' || names(rules.trusted, base) || rules.trusted.includes(registry);
  return { registry, base, trusted };
}

/** Where calls on behalf of a registry may lead: it and what it names itself are trusted differently. */
export function reachOf(origin: Origin, url: URL, insecure: readonly string[], rules: RegistryRules): Reach {
  // Installations read bundles from registries of their own network: the registry that a client names may be there.
  if (!origin.trusted && url.host === origin.base.host) return 'private';
  if (url.hostname === origin.base.hostname) return origin.trusted ? 'any' : 'public';
  const named = names(insecure, url) || (rules.trusted !== 'all' && names(rules.trusted, url));
  if (named) return 'any';
  // A registry of ours may have its token service or its blobs on another host of the network, but not on this machine.
  return origin.trusted ? 'private' : 'public';
}

/**
 * The URL that a registry names, in a redirect, as its token service, or for an upload: HTTPS anywhere, plain HTTP only on
 * the host of a registry that is itself spoken to over plain HTTP, or on hosts that the configuration names as such.
 *
 * @param text a URL, or relative to `from`
 * @param what the URL is, for the message: `redirects`
 * @throws Failure `registry_answer_invalid`
 */
export function namedUrl(
  origin: Origin,
  { text, from, what, insecure }: { text: string; from: URL; what: string; insecure: readonly string[] },
): URL {
  const url = URL.parse(text, from.href);
  if (url === null) throw invalid(origin, `${what} to something that is no URL`);
  if (url.protocol === 'https:') return url;
  if (url.protocol !== 'http:') throw invalid(origin, `${what} to a URL of the scheme ${url.protocol.slice(0, 20)}`);
  const sameHost = origin.base.protocol === 'http:' && url.hostname === origin.base.hostname;
  if (sameHost || names(insecure, url)) return url;
  throw invalid(
    origin,
    `${what} to plain HTTP on ${url.host}. If that is meant, name ${url.host} in registry.insecure.`,
  );
}

function invalid({ registry }: Origin, what: string): Failure {
  return new Failure('registry_answer_invalid', `The registry ${registry} ${what}`);
}

function names(entries: readonly string[], { host, hostname }: URL): boolean {
  return entries.some((entry) => {
    if (entry.startsWith('*.')) return hostname.endsWith(entry.slice(1).toLowerCase());
    const named = URL.parse(`https://${entry}`)?.host;
    return named === host || named === hostname;
  });
}
