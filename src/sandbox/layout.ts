import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { registerSecret } from '../telemetry/secrets.ts';
import { freePorts } from './ports.ts';

const PARTS = ['postgres', 'registry', 'gitlab', 'kubernetes', 'pipelinesAsCode', 'api'] as const;
const Secret = z.string().min(16);

/**
 * Addresses and secrets of a sandbox, chosen once for its directory: pull specs and URLs in its data stay right when
 * it starts again.
 */
const Identity = z.object({
  /** Fixed with the directory: what is in the one kind of cluster is not in the other. */
  cluster: z.enum(['imitated', 'real']).default('imitated'),
  ports: z.record(z.enum(PARTS), z.number().int()),
  registryUsers: z.object({ service: Secret, pipeline: Secret, release: Secret }),
  webhookToken: Secret,
  secretKey: Secret,
});
export type Identity = z.infer<typeof Identity>;

/** Whether Kubernetes, Tekton and Pipelines-as-Code are imitations in this process or the programs themselves. */
export type ClusterKind = Identity['cluster'];

/** Where things lie in a sandbox directory. */
export interface Layout {
  dir: string;
  identity: Identity;
  path(...parts: string[]): string;
}

/**
 * Opens a sandbox directory, or makes one with free ports and new secrets.
 *
 * @throws Failure `configuration_invalid` when it belongs to the other kind of cluster
 */
export async function openLayout(directory: string, cluster: ClusterKind): Promise<Layout> {
  const dir = resolve(directory);
  const path = (...parts: string[]) => join(dir, ...parts);
  // Postgres runs as another user and must get through to its own folder; what is private says so itself.
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  for (const name of ['logs', 'secrets', 'catalogs.d', 'state', 'request-logs', 'related-bundles', 'nested-bundles']) {
    mkdirSync(path(name), { recursive: true, mode: 0o700 });
  }
  const file = path('identity.json');
  if (!existsSync(file)) writePrivate(file, JSON.stringify(await newIdentity(cluster), null, 2));
  const identity = readIdentity(file);
  if (identity.cluster !== cluster) {
    throw new Failure(
      'configuration_invalid',
      `The sandbox in ${dir} was made with --cluster ${identity.cluster}: start it so, or take another directory`,
    );
  }
  return { dir, path, identity };
}

/**
 * Opens the directory of a sandbox that exists already.
 *
 * @throws Failure `configuration_invalid` when there is none
 */
export function existingLayout(directory: string): Layout {
  const dir = resolve(directory);
  const file = join(dir, 'identity.json');
  if (!existsSync(file)) {
    throw new Failure(
      'configuration_invalid',
      `There is no sandbox in ${dir}: start one with 'indexwright sandbox --dir ${directory}'`,
    );
  }
  return { dir, path: (...parts) => join(dir, ...parts), identity: readIdentity(file) };
}

function readIdentity(file: string): Identity {
  const identity = Identity.parse(JSON.parse(readFileSync(file, 'utf8')));
  for (const secret of [...Object.values(identity.registryUsers), identity.webhookToken, identity.secretKey]) {
    registerSecret(secret);
  }
  return identity;
}

async function newIdentity(cluster: ClusterKind): Promise<Identity> {
  const ports = await freePorts(PARTS.length);
  const secret = () => randomBytes(18).toString('hex');
  return {
    cluster,
    ports: Object.fromEntries(PARTS.map((part, at) => [part, ports[at]])) as Identity['ports'],
    registryUsers: { service: secret(), pipeline: secret(), release: secret() },
    webhookToken: secret(),
    secretKey: randomBytes(32).toString('base64'),
  };
}

/** Writes a file that only its owner may read, all of it or nothing. */
export function writePrivate(file: string, text: string): void {
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, text, { mode: 0o600 });
  renameSync(partial, file);
}
