import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { BUNDLE } from './containerfile.ts';
import { normaliseModes } from './layer.ts';
import { BundleMetadata, METADATA_NAME, readMetadata } from './metadata.ts';
import { type BuildOptions, type BuiltImage, buildImage, readContainerfile } from './multi-arch.ts';

/**
 * Builds a regenerated bundle: manifests and metadata over those of the bundle it was made from, for all its
 * architectures (request-handling.md §11.1, step 7).
 *
 * @throws Failure `request_invalid` (metadata, Dockerfile, a directory that is not there), and what `buildImage` throws
 */
export async function buildBundle(options: BuildOptions): Promise<BuiltImage> {
  const { context } = options;
  const name = options.metadata ?? METADATA_NAME;
  const { arches } = await readMetadata(join(context, name), name, BundleMetadata);
  const file = await readContainerfile(options, {}, BUNDLE);
  return buildImage(options, {
    file,
    arches,
    labels: file.labels,
    command: 'base',
    // The bundle's own labels are its maker's.
    labelsOfDate: [],
    prepare: async () => {
      for (const source of BUNDLE.sources) await normalise(join(context, source), source);
    },
    directory: async (source) => join(context, source),
  });
}

async function normalise(path: string, name: string): Promise<void> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) {
    throw new Failure('request_invalid', `There is no ${name} directory in the build context`);
  }
  await normaliseModes(path);
}
