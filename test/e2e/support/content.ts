import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { bundlesIn, packagesIn } from '../../../src/catalog/index-db.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { type ArtifactKind, artifactTagFor, createArtifacts } from '../../../src/registry/artifact.ts';
import { unpackImage } from '../../../src/sandbox/catalog-client.ts';
import type { View, World } from './world.ts';

/** Relative path → text. */
export type Files = Record<string, string>;

/** What the catalog branch of an index has below `configs/`, and its build metadata. */
export async function branchOf(
  here: World,
  branch: string,
  repositoryUrl?: string,
): Promise<{ configs: Files; metadata: Record<string, unknown> }> {
  const project = here.project(repositoryUrl);
  const Entries = z.array(z.object({ path: z.string(), type: z.string() }));
  const tree = await here.gitlab(
    'GET',
    `${project}/repository/tree?ref=${branch}&recursive=true&per_page=100`,
    Entries,
  );
  const File = z.object({ content: z.string() });
  const textOf = async (path: string) => {
    const url = `${project}/repository/files/${encodeURIComponent(path)}?ref=${branch}`;
    return Buffer.from((await here.gitlab('GET', url, File)).content, 'base64').toString();
  };
  const configs: Files = {};
  for (const { path, type } of tree) {
    if (type === 'blob' && path.startsWith('configs/')) configs[path.slice('configs/'.length)] = await textOf(path);
  }
  return { configs, metadata: JSON.parse(await textOf('.iib-build-metadata.json')) };
}

/** What an image has below `/configs`, and its labels. */
export async function imageOf(
  here: World,
  spec: string | null | undefined,
): Promise<{ configs: Files; labels: Record<string, string> }> {
  const client = await here.sandbox.registryClient();
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-e2e-image-'));
  try {
    await unpackImage(client, spec ?? '', 'amd64', dir);
    return { configs: filesOf(join(dir, 'configs')), labels: await client.labels(spec ?? '') };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function filesOf(dir: string): Files {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.map((path) => [relative(dir, path), readFileSync(path, 'utf8')]));
}

/** What an artifact of an index's database holds. */
export async function databaseOf(
  here: World,
  index: string,
  kind: ArtifactKind = 'shared',
): Promise<{ digest: string; packages: string[]; bundles: string[]; annotations: Record<string, string> }> {
  const { registry } = loadConfig(here.sandbox.layout.path('config.yaml'));
  const client = await here.sandbox.registryClient();
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-e2e-db-'));
  const tag = artifactTagFor(registry, index, kind);
  try {
    const { path, digest } = await createArtifacts({ cacheDir: dir }).pull(client, tag);
    const { bytes } = await client.manifest(tag);
    const { annotations } = z
      .object({ annotations: z.record(z.string(), z.string()) })
      .parse(JSON.parse(String(bytes)));
    return { digest, packages: packagesIn(path), bundles: bundlesIn(path).map(({ name }) => name), annotations };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The reasons of a request's states, oldest first. */
export function reasonsOf({ state_history: history }: View): string[] {
  return history.map(({ state_reason: reason }) => reason).reverse();
}

/** The token of the team that may push to the sandbox's indexes. */
export function releaseToken(here: World): string {
  return `release:${here.sandbox.layout.identity.registryUsers.release}`;
}

/** Tags that are new or moved, and those gone, between two photographs. */
export function movedTags(before: Files, after: Files): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => before[name] !== after[name]).sort();
}
