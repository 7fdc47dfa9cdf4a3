import { z } from 'zod';

/** Name of the file at the root of a catalog repository from which the pipeline learns what to build. */
export const METADATA_FILE = '.iib-build-metadata.json';

/** What the pipeline is told about an index (request-handling.md §5.1). */
export const IndexMetadata = z.object({
  /** Executable name, `opm-v1.48.0`. */
  opm_version: z.string(),
  labels: z.record(z.string(), z.string()),
  /** Resolved pull spec, or `scratch`. */
  binary_image: z.string(),
  request_id: z.number().int(),
  /** Sorted. */
  arches: z.array(z.string()),
});
export type IndexMetadata = z.infer<typeof IndexMetadata>;

/** What the pipeline is told about a bundle that is to be regenerated. */
export const BundleMetadata = z.object({
  request_type: z.literal('regenerate-bundle'),
  request_id: z.number().int(),
  arches: z.array(z.string()),
  organization: z.string().nullable(),
  package_name: z.string(),
});
export type BundleMetadata = z.infer<typeof BundleMetadata>;

export const BuildMetadata = z.union([IndexMetadata, BundleMetadata]);
export type BuildMetadata = z.infer<typeof BuildMetadata>;

const VERSION_LABEL = 'com.redhat.index.delivery.version';
const SCOPE_LABEL = 'com.redhat.index.delivery.distribution_scope';

/**
 * Build metadata of an index request. Labels of the request win over the two that are always there.
 *
 * @param of.binaryImage resolved pull spec, or `scratch`
 */
export function indexMetadata(of: {
  requestId: number;
  opm: { name: string };
  ocpVersion: string;
  scope: string;
  binaryImage: string;
  arches: readonly string[];
  labels?: Readonly<Record<string, string>>;
}): IndexMetadata {
  return {
    opm_version: of.opm.name,
    labels: { [VERSION_LABEL]: of.ocpVersion, [SCOPE_LABEL]: of.scope, ...of.labels },
    binary_image: of.binaryImage,
    request_id: of.requestId,
    arches: [...of.arches].sort(),
  };
}

/** Build metadata of a regenerated bundle. */
export function bundleMetadata(of: {
  requestId: number;
  arches: readonly string[];
  organization: string | null;
  packageName: string;
}): BundleMetadata {
  return {
    request_type: 'regenerate-bundle',
    request_id: of.requestId,
    arches: [...of.arches].sort(),
    organization: of.organization,
    package_name: of.packageName,
  };
}

/** The file's content: JSON with two spaces. */
export function metadataText(metadata: BuildMetadata): string {
  return `${JSON.stringify(metadata, null, 2)}\n`;
}
