import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { essentialsOf, jsonCatalog } from '../../src/catalog/documents.ts';
import { blobOf, type FbcBlob } from '../../src/catalog/fbc.ts';
import { isPackageName } from '../../src/catalog/names.ts';
import { type Opm, opmFor } from '../../src/catalog/opm.ts';
import type { OpmSurroundings } from '../../src/catalog/opm-commands.ts';
import { type CatalogReader, createCatalogReader } from '../../src/catalog/reader.ts';
import { type CatalogTree, deprecationsDir, foldersIn, packageDir } from '../../src/catalog/tree.ts';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { pushBundleImage } from '../../src/sandbox/bundle-image.ts';
import { startRegistry } from '../../src/sandbox/registry.ts';

const ROOT = resolve(import.meta.dirname, '../..');
export const EXAMPLES = join(ROOT, 'examples/bundles');
export const OPM_DIR = join(ROOT, '.tools/bin');
export const OPMS = ['opm-v1.48.0', 'opm-v1.73.0'] as const;

/** Archives of real operators; they are not part of the project. */
export const REAL_BUNDLES = join(process.env.INDEXWRIGHT_SHARED ?? resolve(ROOT, '../shared'), 'data/bundles');
export const realBundlesAreThere = existsSync(REAL_BUNDLES);

export function opmNamed(name: string): Promise<Opm> {
  const config = { dir: OPM_DIR, versions: {}, default: name, memory: 16384, timeout: 120_000 };
  return opmFor({ config, ocpVersion: undefined });
}

/** A registry with bundles, and a place for databases and catalogs. */
export interface World {
  dir: string;
  around: OpmSurroundings;
  host: string;
  /** Pushes an example, or a real bundle given by its folder, and gives its pull spec by digest. */
  bundle(packageName: string, version: string): Promise<string>;
  /** A path that nothing is at. */
  path(name: string): string;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-catalog-'));
  const registry = await startRegistry({ dir: join(dir, 'registry') });
  const client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 30_000 });
  const scratch = join(dir, 'scratch');
  await mkdir(scratch);
  let paths = 0;
  return {
    dir,
    around: { scratch, transport: 'plain-http' },
    host: registry.host,
    bundle: async (packageName, version) =>
      pushBundleImage(client, {
        bundleDir: await folderOf(dir, packageName, version),
        ref: `${registry.host}/${packageName}:${version.replaceAll('+', '_')}`,
      }),
    path: (name) => join(dir, `${paths++}-${name}`),
    close: async () => {
      await registry.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function folderOf(dir: string, packageName: string, version: string): Promise<string> {
  const example = join(EXAMPLES, packageName, version);
  if (existsSync(example)) return example;
  const to = join(dir, 'real', packageName);
  if (!existsSync(to)) {
    await mkdir(to, { recursive: true });
    await promisify(execFile)('tar', ['-xzf', join(REAL_BUNDLES, `${packageName}.tar.gz`), '-C', to]);
  }
  return join(to, version);
}

/** A reader on the older opm, or on another one. */
export async function readerOf(name: string = OPMS[0], around: OpmSurroundings = {}): Promise<CatalogReader> {
  return createCatalogReader(await opmNamed(name), around);
}

/** The blobs of JSON documents that opm has written. */
export function parseRendered(text: string): FbcBlob[] {
  return [...jsonCatalog(text)].map((document) => blobOf(essentialsOf(document)));
}

/** A catalog that is wholly on disk. */
export function directoryTree(configsDir: string, reader: CatalogReader): CatalogTree {
  const tree: CatalogTree = {
    configsDir,
    reader,
    packages: async () => (await foldersIn(configsDir)).filter(isPackageName).sort(),
    include: async () => {},
    remove: async (name) => {
      await rm(packageDir(tree, name), { recursive: true, force: true });
      await rm(deprecationsDir(tree, name), { recursive: true, force: true });
    },
    clear: () => rm(configsDir, { recursive: true, force: true }),
  };
  return tree;
}
