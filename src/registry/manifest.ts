import { z } from 'zod';
import { Failure } from '../errors/failure.ts';

export const MEDIA = {
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** Registries answer 404 for a manifest whose media type is not asked for (feasibility: registry). */
export const ACCEPT = [MEDIA.ociIndex, MEDIA.ociManifest, MEDIA.dockerList, MEDIA.dockerManifest].join(', ');

/** The empty config of artifacts: `{}`. */
export const EMPTY_CONFIG = {
  mediaType: MEDIA.empty,
  digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  size: 2,
} as const;
export const EMPTY_CONFIG_BYTES = Buffer.from('{}');

const Annotations = z.record(z.string(), z.string()).nullish();
const Descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.string().regex(/^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/),
  size: z.number().int().min(0),
  annotations: Annotations,
});
export type Descriptor = z.infer<typeof Descriptor>;

const ListEntry = Descriptor.extend({
  platform: z.looseObject({ architecture: z.string(), os: z.string(), variant: z.string().optional() }).nullish(),
});
export type ListEntry = z.infer<typeof ListEntry>;

const List = z.looseObject({ schemaVersion: z.literal(2), manifests: z.array(ListEntry), annotations: Annotations });
const Image = z.looseObject({
  schemaVersion: z.literal(2),
  artifactType: z.string().optional(),
  config: Descriptor,
  layers: z.array(Descriptor).nullish(),
  annotations: Annotations,
});
const Anything = z.looseObject({ mediaType: z.string().optional(), schemaVersion: z.number().optional() });

/** A manifest by what it is; `other` is what we cannot read (schema 1 and strangers). */
export type ManifestDocument =
  | { kind: 'list'; manifests: ListEntry[] }
  | {
      kind: 'image';
      artifactType: string | undefined;
      config: Descriptor;
      layers: Descriptor[];
      annotations: Record<string, string>;
    }
  | { kind: 'other'; schemaVersion: number | undefined };

export interface Manifest {
  digest: string;
  mediaType: string;
  /** As the registry holds it, byte for byte. */
  bytes: Buffer;
  document: ManifestDocument;
}

/** A manifest of one platform. */
export type ImageManifest = Manifest & { document: Extract<ManifestDocument, { kind: 'image' }> };

/** The parts of an image's config that are read here; the rest stays as it is. */
export const ImageConfig = z.looseObject({
  architecture: z.string().optional(),
  os: z.string().optional(),
  config: z.looseObject({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});
export type ImageConfig = z.infer<typeof ImageConfig>;

/**
 * Reads a manifest's bytes.
 *
 * @param contentType used where the manifest does not say its own media type, which OCI allows
 * @throws Failure `image_unreadable` when it is not what its media type says
 */
export function parseManifest(
  bytes: Buffer,
  contentType: string,
  spec: string,
): Pick<Manifest, 'mediaType' | 'document'> {
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'));
    const { mediaType = contentType, schemaVersion } = Anything.parse(json);
    return { mediaType, document: documentOf(mediaType, schemaVersion, json) };
  } catch (cause) {
    throw new Failure('image_unreadable', `The manifest of ${spec} is not valid`, { cause });
  }
}

function documentOf(mediaType: string, schemaVersion: number | undefined, json: unknown): ManifestDocument {
  if (schemaVersion !== 2) return { kind: 'other', schemaVersion };
  if (mediaType === MEDIA.dockerList || mediaType === MEDIA.ociIndex) {
    return { kind: 'list', manifests: List.parse(json).manifests };
  }
  if (mediaType === MEDIA.dockerManifest || mediaType === MEDIA.ociManifest) {
    const { artifactType, config, layers, annotations } = Image.parse(json);
    return { kind: 'image', artifactType, config, layers: layers ?? [], annotations: annotations ?? {} };
  }
  return { kind: 'other', schemaVersion };
}

/** The entry read where one platform is wanted of a list: linux/amd64, else the first. */
export function preferredEntry(manifests: readonly ListEntry[]): ListEntry | undefined {
  return manifests.find(({ platform }) => platform?.architecture === 'amd64') ?? manifests[0];
}
