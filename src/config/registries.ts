import { allCatalogs } from './catalogs.ts';
import type { Config } from './schema.ts';

/**
 * Registries and hosts that the configuration names, which may therefore be at private addresses: outputs, artifacts,
 * indexes, binary images, registries that are allowed, spoken to over plain HTTP or listed as private, and those that the
 * service has credentials for.
 *
 * @param authenticated keys of the service's credentials, `registry` or `registry/path`
 */
export function trustedRegistries(config: Config, authenticated: Iterable<string>): string[] {
  const { allowed = [], insecure, privateHosts } = config.registry;
  const replacements = Object.values(config.relatedImageRegistries).flatMap((map) => Object.values(map));
  const named = [...ownRepositories(config), ...allowed, ...replacements, ...authenticated];
  return [...new Set([...named.map((name) => name.split('/', 1)[0] as string), ...insecure, ...privateHosts])];
}

/**
 * What clients may name images of, with the registries and repositories that the service uses itself; undefined where
 * everything is allowed.
 */
export function allowedRepositories(config: Config): string[] | undefined {
  const { allowed } = config.registry;
  return allowed === undefined ? undefined : [...allowed, ...ownRepositories(config)];
}

function ownRepositories(config: Config): string[] {
  const { output, publicOutput, artifactRegistry } = config.registry;
  const images = Object.values(config.binaryImages).flatMap((versions) => Object.values(versions));
  return [
    output,
    ...(publicOutput === undefined ? [] : [publicOutput]),
    artifactRegistry,
    ...allCatalogs(config).map(({ index }) => index),
    ...images.filter((image) => image.includes('/')).map(withoutTag),
  ];
}

function withoutTag(pullSpec: string): string {
  const [name = ''] = pullSpec.split('@');
  return name.replace(/:[^/:]*$/, '');
}
