import { z } from 'zod';
import { checkNames, checkPullSpec, type JsonObject, refuse, stringOrNone } from '../checks.ts';
import { OrganizationField, PullSpecField, RegistryAuthsField } from '../fields.ts';
import { checkRegistryAuths } from '../registry-auths.ts';
import type { Checked } from '../type.ts';

export const RecursiveRelatedBundlesPayload = z.strictObject({
  parent_bundle_image: z.string(),
  organization: z.string().nullable(),
});
export type RecursiveRelatedBundlesPayload = z.infer<typeof RecursiveRelatedBundlesPayload>;

/** What clients send. */
export const RecursiveRelatedBundlesBody = z.strictObject({
  parent_bundle_image: PullSpecField,
  organization: OrganizationField.nullish(),
  registry_auths: RegistryAuthsField.nullish(),
});

/** The checks of `POST /builds/recursive-related-bundles` (rest-api.md §2.9). */
export function checkRecursiveRelatedBundles(given: JsonObject): Checked<RecursiveRelatedBundlesPayload> {
  const body = checkNames(given, ['parent_bundle_image'], ['organization', 'registry_auths']);
  const organization = stringOrNone(body.organization, '"organization" must be a string');
  const image = body.parent_bundle_image;
  if (typeof image !== 'string') refuse('"parent_bundle_image" must be a string');
  const secrets = checkRegistryAuths(body.registry_auths);
  checkPullSpec(image);
  return { payload: { parent_bundle_image: image, organization }, secrets, pullSpecs: [image], fromIndex: null };
}
