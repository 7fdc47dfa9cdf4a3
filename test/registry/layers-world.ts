import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { DEFAULT_LIMITS, extractDirectory } from '../../src/registry/layers.ts';
import { startRegistry } from '../../src/sandbox/registry.ts';
import { gzipLayer, imageByClient, type Layer, type TarEntry, temporaryDirectory } from './fixtures.ts';

export const file = (name: string, content = name): TarEntry => ({ name, content });
export const folder = (name: string): TarEntry => ({ name, type: 'directory' });
export const hardLink = (name: string, linkname: string): TarEntry => ({ name, type: 'link', linkname });
export const symlink = (name: string, linkname: string): TarEntry => ({ name, type: 'symlink', linkname });

export type LayersWorld = Awaited<ReturnType<typeof startLayersWorld>>;

/** A registry, images in it, and what is extracted of them. */
export async function startLayersWorld() {
  const dir = await temporaryDirectory();
  const registry = await startRegistry({ dir: join(dir, 'registry') });
  const client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
  let count = 0;

  return { dir, registry, client, imageOf, newDirectory, extracted, close };

  async function imageOf(...layers: (Layer | TarEntry[])[]): Promise<string> {
    count += 1;
    const packed = await Promise.all(layers.map((layer) => (Array.isArray(layer) ? gzipLayer(layer) : layer)));
    const spec = `${registry.host}/test/image:${count}`;
    await imageByClient(client, spec, { architecture: 'amd64', layers: packed });
    return spec;
  }

  /** Path of a directory that is not there yet, in one of its own. */
  async function newDirectory(): Promise<string> {
    count += 1;
    await mkdir(join(dir, `out-${count}`));
    return join(dir, `out-${count}`, 'to');
  }

  async function extracted(image: string, directory = '/manifests', limits = DEFAULT_LIMITS) {
    const to = await newDirectory();
    await extractDirectory({ client, image, directory, to, limits });
    return filesIn(to);
  }

  async function close(): Promise<void> {
    await registry.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Relative path → content of all files below a directory. */
export async function filesIn(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of (await readdir(root, { recursive: true })).toSorted()) {
    const at = join(root, path);
    if ((await stat(at)).isFile()) found[path] = await readFile(at, 'utf8');
  }
  return found;
}
