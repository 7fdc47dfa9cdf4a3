import { z } from 'zod';

const Text = z.string().min(1);
const plain = <Type extends string>(type: Type) => z.strictObject({ type: z.literal(type) });

/** One change to a regenerated bundle, as an organization asks for it (request-handling.md §11.3). */
export const Customization = z.discriminatedUnion('type', [
  plain('resolve_image_pullspecs'),
  plain('related_bundles'),
  plain('perform_bundle_replacements'),
  z.strictObject({ type: z.literal('package_name_suffix'), suffix: Text }),
  /** Old registry → new registry, which may have a path behind it. */
  z.strictObject({ type: z.literal('registry_replacements'), replacements: z.record(Text, Text) }),
  /** Names of labels in braces. */
  z.strictObject({ type: z.literal('image_name_from_labels'), template: Text }),
  /** Annotation → value, with `{package_name}` in it. */
  z.strictObject({ type: z.literal('csv_annotations'), annotations: z.record(Text, z.string()) }),
  z.strictObject({ type: z.literal('enclose_repo'), enclosure_glue: z.string(), namespace: Text }),
]);
export type Customization = z.infer<typeof Customization>;

/** Organization → its customizations in the order they are made [iib_organization_customizations]. */
export const OrganizationCustomizations = z.record(z.string(), z.array(Customization));

/** What is done for everybody else; of upstream's list, the types that do something without parameters. */
const DEFAULT: readonly Customization[] = [
  { type: 'resolve_image_pullspecs' },
  { type: 'related_bundles' },
  { type: 'perform_bundle_replacements' },
];

/** The customizations of an organization; the default list when it has none or there is no organization. */
export function customizationsOf(
  organizations: z.infer<typeof OrganizationCustomizations>,
  organization: string | null,
): readonly Customization[] {
  const own = organization !== null && Object.hasOwn(organizations, organization) ? organizations[organization] : [];
  return own === undefined || own.length === 0 ? DEFAULT : own;
}
