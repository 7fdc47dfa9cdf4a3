import { z } from 'zod';

/**
 * The fields of POST and PATCH bodies with their limits. The OpenAPI description prints these schemas, and
 * requests/limits.ts refuses what they do not allow: nothing else states a limit. The limits are some ten times what any
 * known client sends. Stored payloads have schemas of their own without limits, since older rows may hold more.
 */

/** Bytes of JSON text that the annotations of a batch may have. */
export const ANNOTATIONS_BYTES = 65_536;
/** Bytes of annotations in the answer about a batch, which repeats them for each request. */
export const REPEATED_BYTES = 8 * 1024 * 1024;

/** A pull spec: any text that has a tag or a digest, or `scratch`. A real one has some 500 characters at most. */
export const PullSpecField = z.string().min(1).max(8192);

/** Pull specs; duplicates count until they are dropped. */
export const PullSpecsField = z.array(PullSpecField).max(5000);

/** The name of an operator package. */
export const PackageField = z.string().min(1).max(8192);
export const PackagesField = z.array(PackageField).min(1).max(5000);

export const OrganizationField = z.string().max(1024);

/** A secret. */
export const TokenField = z.string().max(65_536).meta({ format: 'password' });

/** A tag of an image. Where the index is one of this service's, what is no tag or is the service's own is refused. */
export const BuildTagsField = z
  .array(z.string().min(1).max(128))
  .max(100)
  .meta({
    description:
      'Tags of the result besides its own. A number, a tag the service writes itself, and what is no tag ' +
      '([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}) are refused for indexes that the service manages',
  });

/** Architectures as Go names them; IIB takes any text, so only what a managed index can have is checked by name. */
export const AddArchesField = z.array(z.string().min(1).max(262_144)).max(100).meta({
  description:
    'Architectures as Go names them (amd64, arm64, ppc64le, s390x, …); others are refused for managed indexes',
});

export const ScopeField = z
  .string()
  .regex(/^([Pp][Rr][Oo][Dd]|[Ss][Tt][Aa][Gg][Ee]|[Dd][Ee][Vv])$/)
  .meta({ description: 'prod, stage or dev, in any case' });

export const GraphModeField = z.string().max(256).meta({
  description: 'One of the modes in api.graphModeOptions; replaces, semver and semver-skippatch by default',
});

/** JSON text, shown exactly as it was sent. */
export const SchemaTextField = z.string().min(1).max(1_048_576);

export const LabelsField = limitedMap({ entries: 500, key: 1024, value: 65_536 });
export const ReplacementsField = limitedMap({ entries: 5000, key: 8192, value: 8192 });

/** A docker config with nothing but `auths`; never shown. */
export const RegistryAuthsField = z.strictObject({
  auths: z.record(z.string().max(1024), z.strictObject({ auth: TokenField })).meta({ maxProperties: 100 }),
});

/** Any JSON object; its numbers survive as they were written. */
export const AnnotationsField = z.record(z.string(), z.unknown()).meta({
  'x-maxBytes': ANNOTATIONS_BYTES,
  'x-maxRepeatedBytes': REPEATED_BYTES,
  'x-maxValues': 5000,
  'x-maxDepth': 128,
  description:
    `At most ${ANNOTATIONS_BYTES} bytes of JSON text, 5000 values and 128 levels. Answers repeat the annotations for each ` +
    `request: their bytes times the number of requests are at most ${REPEATED_BYTES}`,
});

/** Members of a batch. */
export const MEMBERS = 1000;

function limitedMap({ entries, key, value }: { entries: number; key: number; value: number }) {
  return z.record(z.string().max(key), z.string().max(value)).meta({ maxProperties: entries });
}

/** What a worker says an image was built for. */
export const ArchesField = z.array(z.string().min(1).max(1024)).max(100);

/** Why a request is in its state. */
export const ReasonField = z.string().min(1).max(65_536);

/** JSON values that a body may hold in all, keys not counted. */
export const BODY_VALUES = 20_000;

/** What every request about an index image accepts besides its own fields. */
export const IndexBody = {
  from_index: PullSpecField,
  binary_image: PullSpecField.nullish(),
  distribution_scope: ScopeField.nullish(),
  build_tags: BuildTagsField.nullish(),
  add_arches: AddArchesField.nullish(),
  overwrite_from_index: z.boolean().nullish(),
  overwrite_from_index_token: TokenField.nullish(),
};
