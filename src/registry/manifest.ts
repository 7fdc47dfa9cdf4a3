import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { goMap, goString } from './go-json.ts';
import { parseJsonDocument } from './json-document.ts';

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

/** Of annotations and labels: null is the empty text, as Go reads it. */
export const TextMap = goMap(
  z
    .string()
    .nullish()
    .transform((text) => text ?? ''),
);
const Descriptor = z.looseObject({
  mediaType: goString.transform((text) => text ?? ''),
  digest: z.string().regex(/^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/),
  size: z
    .number()
    .int()
    .min(0)
    .nullish()
    .transform((size) => size ?? 0),
  annotations: TextMap,
});
export type Descriptor = z.infer<typeof Descriptor>;

/** A platform as Go's programs complete it: without a system it is one of theirs. */
const Platform = z.looseObject({
  architecture: goString.transform((text) => text ?? ''),
  os: goString.transform((text) => text ?? 'linux'),
  variant: goString,
});
const ListEntry = Descriptor.extend({
  artifactType: goString,
  platform: Platform.nullish().transform((platform) => platform ?? null),
});
export type ListEntry = z.infer<typeof ListEntry>;

const List = z.looseObject({
  manifests: z
    .array(ListEntry)
    .nullish()
    .transform((entries) => entries ?? []),
});
const Image = z.looseObject({
  artifactType: goString,
  config: Descriptor,
  layers: z
    .array(Descriptor)
    .nullish()
    .transform((layers) => layers ?? []),
  annotations: TextMap,
});
const Anything = z.looseObject({
  mediaType: goString,
  schemaVersion: z.number().nullish(),
  manifests: z.unknown().optional(),
  config: z.unknown().optional(),
});

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
  architecture: goString,
  os: goString,
  variant: goString,
  config: z
    .looseObject({ Labels: TextMap })
    .nullish()
    .transform((config) => config ?? { Labels: {} }),
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
    const json: unknown = parseJsonDocument(bytes);
    const { mediaType: own, schemaVersion, manifests, config } = Anything.parse(json);
    const mediaType = own ?? guessed(contentType, { manifests, config });
    return { mediaType, document: documentOf(mediaType, schemaVersion ?? undefined, json) };
  } catch (cause) {
    throw new Failure('image_unreadable', `The manifest of ${spec} is not valid`, { cause });
  }
}

/** OCI's documents need not say what they are, and some registries do not know; skopeo looks at what is in them then. */
function guessed(contentType: string, { manifests, config }: { manifests?: unknown; config?: unknown }): string {
  if (!['', 'application/json', 'text/plain', 'application/octet-stream'].includes(contentType)) return contentType;
  if (manifests !== undefined) return MEDIA.ociIndex;
  return config === undefined ? contentType : MEDIA.ociManifest;
}

function documentOf(mediaType: string, schemaVersion: number | undefined, json: unknown): ManifestDocument {
  if (schemaVersion !== 2) return { kind: 'other', schemaVersion };
  if (isListType(mediaType)) return { kind: 'list', manifests: List.parse(json).manifests };
  if (mediaType === MEDIA.dockerManifest || mediaType === MEDIA.ociManifest) {
    const { artifactType, config, layers, annotations } = Image.parse(json);
    return { kind: 'image', artifactType, config, layers, annotations };
  }
  return { kind: 'other', schemaVersion };
}

/** Whether a manifest of this media type is a list of others. */
export function isListType(mediaType: string): boolean {
  return mediaType === MEDIA.dockerList || mediaType === MEDIA.ociIndex;
}
