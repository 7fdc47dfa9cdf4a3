import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import type { ErrorCode } from '../errors/policy.ts';
import { run } from '../process/run.ts';
import { type CredentialStore, openAuthDirectory } from './auth.ts';
import type { RegistryClient } from './client.ts';
import { mountImage } from './mount.ts';
import { parsePullSpec, printPullSpec, withDigest } from './pull-spec.ts';

export interface CopyOptions {
  /** By digest, so that nobody can put another image under the copy (request-handling.md §18, H15). */
  from: string;
  /** A tag, or the same digest in another repository: then nothing names the copy until a tag is pointed at it. */
  to: string;
  /** With the credentials of both sides, as `auth`. */
  registry: RegistryClient;
  /** For both sides; each repository finds its own entry. */
  auth: CredentialStore;
  insecure: readonly string[];
  /** Milliseconds for the whole copy. */
  timeout: number;
  signal?: AbortSignal;
}

/**
 * Copies an image of all its platforms, or an artifact; digests stay (request-handling.md §7). Within a registry nothing
 * is moved where the registry can mount blobs; else, and from registry to registry, by skopeo.
 *
 * @returns the digest of the copy, which is that of the source
 * @throws Failure `pull_spec_invalid` for a source without digest, `image_not_found`, `registry_denied`,
 *   `registry_unavailable`, `copy_failed`, `process_timeout`
 */
export async function copyImage({ from, to, registry, ...options }: CopyOptions): Promise<string> {
  const { digest } = parsePullSpec(from);
  if (digest === undefined) throw new Failure('pull_spec_invalid', `${from} is to be copied but has no digest`);
  const source = withDigest(from, digest);
  const destination = destinationOf(to, digest);
  const policy = await signaturePolicy();
  // What must be signed is looked at by skopeo.
  if (policy !== 'demanding' && (await mountImage(registry, source, destination, options.signal))) return digest;
  await copyBySkopeo(source, destination, { ...options, flags: policy === 'absent' ? ['--insecure-policy'] : [] });
  return digest;
}

async function copyBySkopeo(
  source: string,
  destination: string,
  { auth, insecure, timeout, signal, flags }: Omit<CopyOptions, 'from' | 'to' | 'registry'> & { flags: string[] },
): Promise<void> {
  const credentials = await openAuthDirectory(auth);
  try {
    const args = [
      ...flags,
      'copy',
      '--all',
      '--preserve-digests',
      `--src-tls-verify=${tlsVerified(source, insecure)}`,
      `--dest-tls-verify=${tlsVerified(destination, insecure)}`,
      `docker://${source}`,
      `docker://${destination}`,
    ];
    const ran = await run('skopeo', args, {
      env: credentials.env,
      timeout,
      ...(signal === undefined ? {} : { signal }),
    });
    if (ran.exitCode !== 0) throw copyFailure(source, destination, ran.stderr);
  } finally {
    await credentials.remove();
  }
}

function destinationOf(to: string, digest: string): string {
  const parsed = parsePullSpec(to);
  if (parsed.digest === undefined) return printPullSpec(parsed);
  if (parsed.digest === digest) return withDigest(to, digest);
  throw new Failure('pull_spec_invalid', `${to} cannot be a copy of ${digest}`);
}

function tlsVerified(spec: string, insecure: readonly string[]): boolean {
  return !insecure.includes(parsePullSpec(spec).registry);
}

const OPEN = z.object({
  default: z.tuple([z.object({ type: z.literal('insecureAcceptAnything') })]),
  transports: z.object({ docker: z.never().optional() }).optional(),
});

/** Which images this machine lets in: its signature policy, without which skopeo does not start unless told to. */
async function signaturePolicy(): Promise<'absent' | 'open' | 'demanding'> {
  const places = [join(homedir(), '.config/containers/policy.json'), '/etc/containers/policy.json'];
  const path = places.find((place) => existsSync(place));
  if (path === undefined) return 'absent';
  try {
    return OPEN.safeParse(JSON.parse(await readFile(path, 'utf8'))).success ? 'open' : 'demanding';
  } catch {
    // What it asks for cannot be told; skopeo says what is wrong with it.
    return 'demanding';
  }
}

const SIGNS: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [/manifest unknown|name unknown|not known to registry|not found|status 404/i, 'image_not_found', 'it does not exist'],
  [
    /unauthorized|denied|forbidden|authentication required|status 40[13]/i,
    'registry_denied',
    'a registry refused the credentials',
  ],
  [
    /connection re(?:fused|set)|no such host|i\/o timeout|TLS handshake timeout|unexpected EOF|unexpected HTTP status: (?:429|5\d\d)/i,
    'registry_unavailable',
    'a registry cannot be reached',
  ],
];

function copyFailure(from: string, to: string, stderr: string): Failure {
  // A repository may be called `denied`.
  const said = [from, to].reduce((text, spec) => text.replaceAll(parsePullSpec(spec).repository, ''), stderr);
  const [, code, reason] = SIGNS.find(([sign]) => sign.test(said)) ?? [/./, 'copy_failed' as const, 'the copy failed'];
  return new Failure(code, `Failed to copy ${from} to ${to}: ${reason}`, { cause: stderr.trim() });
}
