import type { Secrets } from '../db/secrets.ts';
import { isFalsy, isObject, refuse } from './checks.ts';

/** A(auths), rest-api.md §2.2: a docker config with nothing but `auths`. Error texts name a registry, never a value. */
export function checkRegistryAuths(value: unknown): Pick<Secrets, 'registry_auths'> {
  if (isFalsy(value)) return {};
  if (!isObject(value)) refuse('"registry_auths" must be a dict');
  if (Object.keys(value).join() !== 'auths') refuse('"registry_auths" must contain single key "auths"');
  const auths = value.auths;
  if (isFalsy(auths) || !isObject(auths)) refuse('"registry_auths.auths" must be a non-empty dict');
  for (const [registry, entry] of Object.entries(auths)) {
    if (!isObject(entry) || Object.keys(entry).join() !== 'auth' || typeof entry.auth !== 'string') {
      refuse(
        `${registry} in registry_auths has auth value in incorrect format. See the API docs for details on the expected format`,
      );
    }
  }
  return { registry_auths: { auths: auths as Record<string, { auth: string }> } };
}
