import { patient } from '../errors/retry.ts';
import type { CredentialStore } from '../registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../registry/client.ts';

/** A client of the sandbox's registry for people and tests: waits a few seconds for what may be well again. */
export function patientRegistryClient(auth: CredentialStore, insecure: readonly string[]): RegistryClient {
  const client = createRegistryClient({ auth, insecure, callTimeout: 30_000 });
  return patient(client, { total: 5000, first: 50, longest: 1000 }, new AbortController().signal);
}
