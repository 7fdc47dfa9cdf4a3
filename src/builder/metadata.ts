import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';

/** The file a build is described in, at the root of a repository. */
export const METADATA_NAME = '.iib-build-metadata.json';

const Arches = z.array(z.string().min(1)).min(1, 'must name at least one architecture');

/** The fields a catalog's build reads; others (request id, …) are the service's own. */
export const CatalogMetadata = z.object({
  /** `opm-vX.Y.Z`, `vX.Y.Z`, or bare `opm` for the newest one the builder has. */
  opm_version: z.string().regex(/^(opm|(opm-)?v\d+\.\d+\.\d+)$/, 'must be "opm", "vX.Y.Z" or "opm-vX.Y.Z"'),
  arches: Arches,
  labels: z.record(z.string(), z.string()).default({}),
  /** Pull spec given to the Dockerfile as `BINARY_IMAGE`, or `scratch`. */
  binary_image: z.string().min(1).optional(),
});

/** The fields a bundle's build reads. */
export const BundleMetadata = z.object({ request_type: z.literal('regenerate-bundle'), arches: Arches });

/**
 * Reads the build metadata of a repository; `name` is how messages call the file.
 *
 * @throws Failure `request_invalid` when it is missing, no JSON, or lacks what a build needs (konflux-and-gitlab.md §3.1)
 */
export async function readMetadata<Metadata extends { arches: string[] }>(
  file: string,
  name: string,
  schema: z.ZodType<Metadata>,
): Promise<Metadata> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new Failure('request_invalid', `The build metadata ${name} is missing in the build context`, { cause });
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new Failure('request_invalid', `The build metadata ${name} is not valid JSON`, { cause });
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    throw new Failure('request_invalid', `The build metadata ${name} is not usable:\n${z.prettifyError(parsed.error)}`);
  }
  return { ...parsed.data, arches: [...new Set(parsed.data.arches)].sort() };
}
