import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { ownDirectory, secretsParent, sweepDirectories } from '../process/own-directory.ts';
import { registerSecret } from '../telemetry/secrets.ts';
import { goMap, goString } from './go-json.ts';
import { namesRegistry } from './pull-spec.ts';

export type Credential =
  | { kind: 'password'; user: string; password: string }
  /** OAuth2 refresh token, as `docker login` keeps it for some registries. */
  | { kind: 'identity'; token: string };

/**
 * Credentials by registry or `registry/path`, most specific first at lookup. A value: nothing changes one,
 * so that closing a token's scope is forgetting the store that has it (request-handling.md §2.1, §2.2).
 */
export type CredentialStore = ReadonlyMap<string, Credential>;

export const noCredentials: CredentialStore = new Map();

const AuthEntry = z.looseObject({ auth: goString, username: goString, password: goString, identitytoken: goString });
type AuthEntry = Partial<z.infer<typeof AuthEntry>>;
/** As Go programs write and read it: an entry of null is one without fields. */
const Auths = goMap(AuthEntry.nullable().transform((entry): AuthEntry => entry ?? {}));
const DockerConfig = z.looseObject({ auths: Auths });

/**
 * Reads a docker config file of the service; of it, only `auths` counts. Every secret in it is registered for masking.
 *
 * @throws Failure `configuration_invalid` when it is not there, not readable or not a docker config
 */
export async function readAuthFile(path: string): Promise<CredentialStore> {
  try {
    const store = merge(noCredentials, DockerConfig.parse(JSON.parse(await readFile(path, 'utf8'))).auths);
    for (const credential of store.values()) registerAll(credential);
    return store;
  } catch (cause) {
    // JSON.parse quotes what it read in its message, which may be a password.
    throw new Failure('configuration_invalid', 'The registry credentials of the service cannot be read', {
      cause: cause instanceof SyntaxError ? `${path} is not JSON` : cause,
    });
  }
}

/**
 * The store with the `auths` of a docker config laid over it (`registry_auths`, request-handling.md §2.3).
 *
 * @throws Failure `request_invalid` when they are not a docker config's
 */
export function withAuths(store: CredentialStore, auths: unknown): CredentialStore {
  const parsed = Auths.safeParse(auths);
  if (!parsed.success) throw new Failure('request_invalid', 'The registry credentials are not valid docker auths');
  return merge(store, parsed.data);
}

/**
 * The store with one more entry, for nothing but the repository of the pull spec; broader entries stay
 * (request-handling.md §2.2). Without token the store as it is.
 *
 * @param token `user:password`
 * @throws Failure `pull_spec_invalid` when the pull spec names no registry, `request_invalid` when the token has no colon
 */
export function withEntry(store: CredentialStore, pullSpec: string, token: string | undefined): CredentialStore {
  if (!token) return store;
  return new Map(store).set(scopeOf(pullSpec), passwordFrom(token));
}

/** The credential for a repository: that of the longest path that leads to it, down to the registry's own. */
export function credentialFor(store: CredentialStore, registry: string, repository: string): Credential | undefined {
  for (let path = `${registry}/${repository}`; ; path = path.slice(0, path.lastIndexOf('/'))) {
    const credential = store.get(path);
    if (credential !== undefined || !path.includes('/')) return credential;
  }
}

/** Credentials as child processes read them. */
export interface AuthDirectory {
  /** Makes opm (all versions, opm-and-index-db.md §5.1) and skopeo use them. */
  env: { DOCKER_CONFIG: string; REGISTRY_AUTH_FILE: string };
  remove(): Promise<void>;
}

/**
 * Writes the store for child processes into a directory only we can read, in memory where possible. Should this process
 * be killed before it removes it, the next one that opens such a directory does, or a worker that starts.
 */
export async function openAuthDirectory(store: CredentialStore): Promise<AuthDirectory> {
  const parent = secretsParent();
  await sweepDirectories(parent);
  const dir = await mkdtemp(join(ownDirectory(parent), 'auth-'));
  const auths = Object.fromEntries([...store].map(([key, credential]) => [key, entryOf(credential)]));
  const path = join(dir, 'config.json');
  await writeFile(path, JSON.stringify({ auths }), { mode: 0o600 });
  return {
    env: { DOCKER_CONFIG: dir, REGISTRY_AUTH_FILE: path },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

function entryOf(credential: Credential): Record<string, string> {
  if (credential.kind === 'identity') return { auth: base64('<token>:'), identitytoken: credential.token };
  return { auth: base64(`${credential.user}:${credential.password}`) };
}

function merge(store: CredentialStore, auths: z.infer<typeof Auths>): CredentialStore {
  const merged = new Map(store);
  for (const [key, entry] of Object.entries(auths)) {
    const credential = credentialOf(entry);
    if (credential !== undefined) merged.set(normalKey(key), credential);
  }
  return merged;
}

function credentialOf(entry: AuthEntry): Credential | undefined {
  if (entry.identitytoken) return { kind: 'identity', token: entry.identitytoken };
  if (entry.auth) return passwordFrom(Buffer.from(entry.auth, 'base64').toString('utf8'));
  if (entry.username === undefined || entry.password === undefined) return undefined;
  return passwordFrom(`${entry.username}:${entry.password}`);
}

function passwordFrom(token: string): Credential {
  const colon = token.indexOf(':');
  if (colon < 0) throw new Failure('request_invalid', 'A registry token must have the form user:password');
  return { kind: 'password', user: token.slice(0, colon), password: token.slice(colon + 1) };
}

function registerAll(credential: Credential): void {
  if (credential.kind === 'identity') {
    registerSecret(credential.token);
  } else {
    registerSecret(`${credential.user}:${credential.password}`);
    registerSecret(credential.password);
  }
}

/** `docker login` writes some registries as URLs. */
function normalKey(key: string): string {
  const bare = key
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .replace(/\/v[12]$/, '');
  return bare === 'index.docker.io' ? 'docker.io' : bare;
}

/** Not parsed strictly: a tag or digest gone wrong is for others to refuse, the scope is clear without them. */
function scopeOf(pullSpec: string): string {
  const name = (pullSpec.split('@')[0] ?? '').replace(/:[^/:]*$/, '');
  const [registry = '', ...path] = name.split('/');
  if (path.length === 0 || path.some((segment) => segment === '') || !namesRegistry(registry)) {
    throw new Failure(
      'pull_spec_invalid',
      `Unable to determine the registry from the pull specification '${pullSpec}' for Docker authentication`,
    );
  }
  return path.length === 1 ? registry : name;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
