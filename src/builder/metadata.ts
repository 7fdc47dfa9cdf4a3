import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';

/** The fields of `.iib-build-metadata.json` a build reads; others (request id, …) are the service's own. */
const BuildMetadata = z.object({
  /** `opm-vX.Y.Z`, `vX.Y.Z`, or bare `opm` for the newest one the builder has. */
  opm_version: z.string().regex(/^(opm|(opm-)?v\d+\.\d+\.\d+)$/, 'must be "opm", "vX.Y.Z" or "opm-vX.Y.Z"'),
  arches: z.array(z.string().min(1)).min(1, 'must name at least one architecture'),
  labels: z.record(z.string(), z.string()).default({}),
  /** Pull spec given to the Dockerfile as `BINARY_IMAGE`, or `scratch`. */
  binary_image: z.string().min(1).optional(),
});
export type BuildMetadata = z.infer<typeof BuildMetadata>;

/**
 * Reads the build metadata of a catalog repository; `name` is how messages call the file.
 *
 * @throws Failure `request_invalid` when it is missing, no JSON, or lacks what a build needs (konflux-and-gitlab.md §3.1)
 */
export async function readMetadata(file: string, name: string): Promise<BuildMetadata> {
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
  const parsed = BuildMetadata.safeParse(raw);
  if (!parsed.success) {
    throw new Failure('request_invalid', `The build metadata ${name} is not usable:\n${z.prettifyError(parsed.error)}`);
  }
  return { ...parsed.data, arches: [...new Set(parsed.data.arches)].sort() };
}
