import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { CATALOG, type Containerfile } from './containerfile.ts';
import { type Additions, CONFIGS_LABEL } from './image.ts';
import { normaliseModes } from './layer.ts';
import { CatalogMetadata, METADATA_NAME, readMetadata } from './metadata.ts';
import { type BuildOptions, type BuiltImage, buildImage, readContainerfile } from './multi-arch.ts';
import { findOpm, makeCache, validateCatalog } from './opm.ts';

export interface IndexBuildOptions extends BuildOptions {
  /** Directory of executables named `opm-vX.Y.Z`. */
  opmDir: string;
}

/** Milliseconds. */
const OPM_TIMEOUT = 30 * 60_000;

/**
 * Builds a catalog image: validates the catalog, makes opm's cache, and puts both on the binary image
 * (konflux-and-gitlab.md §3.1).
 *
 * @throws Failure `request_invalid` (metadata, Dockerfile), `opm_missing`, `catalog_directory_missing`,
 *   `catalog_invalid`, `opm_refused`, and what `buildImage` throws
 */
export async function buildIndex(options: IndexBuildOptions): Promise<BuiltImage> {
  const { context, report = () => {} } = options;
  const configs = join(context, 'configs');
  const name = options.metadata ?? METADATA_NAME;
  const metadata = await readMetadata(join(context, name), name, CatalogMetadata);
  const opm = await findOpm(options.opmDir, metadata.opm_version);
  if (!(await stat(configs).catch(() => undefined))?.isDirectory()) {
    throw new Failure('catalog_directory_missing', 'There is no configs directory in the build context');
  }
  const args = metadata.binary_image === undefined ? {} : { BINARY_IMAGE: metadata.binary_image };
  const file = await readContainerfile(options, args, CATALOG);
  return buildImage(options, {
    file,
    arches: metadata.arches,
    labels: { ...file.labels, [CONFIGS_LABEL]: catalogTarget(file), ...metadata.labels },
    command: commandOf(file),
    labelsOfDate: ['build-date', 'org.opencontainers.image.created'],
    async prepare() {
      report(`Validating configs and making the cache with opm ${opm.version}`);
      await normaliseModes(configs);
      await validateCatalog(opm, configs, OPM_TIMEOUT);
    },
    directory: async (source, scratch) =>
      source === 'configs' ? configs : await makeCache(opm, configs, scratch, OPM_TIMEOUT),
  });
}

function catalogTarget(file: Containerfile): string {
  return file.copies.find(({ source }) => source === 'configs')?.target ?? '/configs';
}

/** An image from scratch holds a catalog and nothing that could serve it. A new entrypoint drops the base's command. */
function commandOf({ base, entrypoint, cmd }: Containerfile): Additions['command'] {
  if (base === 'scratch') return {};
  if (entrypoint === undefined && cmd === undefined) return 'base';
  return { ...(entrypoint === undefined ? {} : { entrypoint }), ...(cmd === undefined ? {} : { cmd }) };
}
