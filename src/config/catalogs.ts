import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { asFailure, Failure } from '../errors/failure.ts';
import { clusterAt } from './clusters.ts';
import { type CatalogConfig, CatalogConfigSchema, type Config, type RepositoryConfig } from './schema.ts';

/**
 * The catalog repository of an index. `catalogsDir` is read at each call, so a mapping that is added or mended takes
 * effect without a restart.
 *
 * @param index the index without tag and digest, `registry/namespace/repo`
 * @param pullSpec what the client gave, for the message (request-handling.md §5)
 * @throws Failure `index_not_mapped`; `configuration_invalid` for a broken file in `catalogsDir`
 */
export function catalogOf(config: Config, index: string, pullSpec: string): CatalogConfig {
  const found = allCatalogs(config).find((catalog) => catalog.index === index);
  if (found !== undefined) return found;
  throw new Failure(
    'index_not_mapped',
    `Git repository mapping not found for from_index: ${pullSpec}. index_to_gitlab_push_map is required.`,
  );
}

/** Every repository that changes are proposed to: the catalogs' and the one for bundles. */
export function allRepositories(config: Config): RepositoryConfig[] {
  return [...allCatalogs(config), ...(config.bundleRepository === undefined ? [] : [config.bundleRepository])];
}

/** Every configured catalog, those of the configuration file first. */
export function allCatalogs(config: Config): CatalogConfig[] {
  const { catalogs, catalogsDir } = config;
  if (catalogsDir === undefined) return catalogs;
  return [...catalogs, ...filesOf(catalogsDir).map((file) => readCatalog(config, join(catalogsDir, file)))];
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}

function readCatalog(config: Config, path: string): CatalogConfig {
  const parsed = CatalogConfigSchema.safeParse(parse(readFileSync(path, 'utf8')));
  if (!parsed.success) {
    throw new Failure('configuration_invalid', `The catalog ${path} is not valid:\n${z.prettifyError(parsed.error)}`);
  }
  try {
    clusterAt(config, parsed.data);
  } catch (cause) {
    const { message } = asFailure(cause);
    throw new Failure('configuration_invalid', `The catalog ${path} is not valid: ${message}`, { cause });
  }
  return { ...parsed.data, tokenFile: resolve(path, '..', parsed.data.tokenFile) };
}
