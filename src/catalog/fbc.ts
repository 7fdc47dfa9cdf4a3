import { z } from 'zod';
import { goList, goStruct, goText } from './go-json.ts';

/** `olm.package` (opm-and-index-db.md §4.1). */
export const FbcPackage = z.object({
  schema: z.literal('olm.package'),
  name: goText,
  defaultChannel: goText,
});
export type FbcPackage = z.infer<typeof FbcPackage>;

export const FbcEntry = goStruct({ name: goText, replaces: goText, skips: goList(goText), skipRange: goText });
export type FbcEntry = z.infer<typeof FbcEntry>;

export const FbcChannel = z.object({
  schema: z.literal('olm.channel'),
  package: goText,
  name: goText,
  entries: goList(FbcEntry),
});
export type FbcChannel = z.infer<typeof FbcChannel>;

export const FbcBundle = z.object({
  schema: z.literal('olm.bundle'),
  package: goText,
  name: goText,
  image: goText,
  properties: goList(goStruct({ type: goText, value: z.unknown() })),
});
export type FbcBundle = z.infer<typeof FbcBundle>;

export const FbcDeprecations = z.object({
  schema: z.literal('olm.deprecations'),
  package: goText,
  entries: goList(goStruct({ reference: goStruct({ schema: goText, name: goText }), message: goText })),
});
export type FbcDeprecations = z.infer<typeof FbcDeprecations>;

/** A document of a schema that is not ours to understand; it is only passed on. */
export const FbcOther = z.object({ schema: z.string().min(1), package: goText, name: goText });
export type FbcOther = z.infer<typeof FbcOther>;

export type FbcBlob = FbcPackage | FbcChannel | FbcBundle | FbcDeprecations | FbcOther;

const Known = z.discriminatedUnion('schema', [FbcPackage, FbcChannel, FbcBundle, FbcDeprecations]);
const KNOWN = new Set(['olm.package', 'olm.channel', 'olm.bundle', 'olm.deprecations']);

/**
 * The blob of a document's essentials (`documents.ts`).
 *
 * @throws ZodError when it is none that opm would take
 */
export function blobOf(essentials: unknown): FbcBlob {
  const { schema } = FbcOther.parse(essentials);
  return (KNOWN.has(schema) ? Known : FbcOther).parse(essentials);
}

export const isPackage = (blob: FbcBlob): blob is FbcPackage => blob.schema === 'olm.package';
export const isChannel = (blob: FbcBlob): blob is FbcChannel => blob.schema === 'olm.channel';
export const isBundle = (blob: FbcBlob): blob is FbcBundle => blob.schema === 'olm.bundle';
export const isDeprecations = (blob: FbcBlob): blob is FbcDeprecations => blob.schema === 'olm.deprecations';
