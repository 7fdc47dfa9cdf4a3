import { z } from 'zod';
import { checkNames, checkPullSpec, isFalsy, type JsonObject, refuse, stringMap, stringOrNone } from '../checks.ts';
import { OrganizationField, PullSpecField, RegistryAuthsField, ReplacementsField } from '../fields.ts';
import { checkRegistryAuths } from '../registry-auths.ts';
import { type Checked, StringMap } from '../type.ts';

export const RegenerateBundlePayload = z.strictObject({
  from_bundle_image: z.string(),
  bundle_replacements: StringMap,
  organization: z.string().nullable(),
});
export type RegenerateBundlePayload = z.infer<typeof RegenerateBundlePayload>;

/** What clients send. */
export const RegenerateBundleBody = z.strictObject({
  from_bundle_image: PullSpecField,
  bundle_replacements: ReplacementsField.nullish(),
  organization: OrganizationField.nullish(),
  registry_auths: RegistryAuthsField.nullish(),
});

/** The checks of `POST /builds/regenerate-bundle` (rest-api.md §2.5). */
export function checkRegenerateBundle(given: JsonObject): Checked<RegenerateBundlePayload> {
  const body = checkNames(given, ['from_bundle_image'], ['bundle_replacements', 'organization', 'registry_auths']);
  const replacements = isFalsy(body.bundle_replacements)
    ? {}
    : stringMap(body.bundle_replacements, 'bundle_replacements');
  const organization = stringOrNone(body.organization, '"organization" must be a string');
  const image = body.from_bundle_image;
  if (typeof image !== 'string') refuse('"from_bundle_image" must be a string');
  const secrets = checkRegistryAuths(body.registry_auths);
  checkPullSpec(image);
  return {
    payload: { from_bundle_image: image, bundle_replacements: replacements, organization },
    secrets,
    pullSpecs: [image],
    fromIndex: null,
  };
}
