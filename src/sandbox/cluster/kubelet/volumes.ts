import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { Sources } from './environment.ts';
import { fieldOf, type Pod, type Projection, type Volume } from './pod.ts';

/** A file of a volume that is made from objects. */
export interface VolumeFile {
  path: string;
  content: Buffer;
  mode: number;
}

export interface VolumeWorld {
  pod: Pod;
  sources: Sources;
  /** A token of the pod's ServiceAccount. */
  token(of: NonNullable<Projection['serviceAccountToken']>): Promise<string>;
}

/** The sources of a volume's files, whatever its kind, in the words of a projected volume; undefined: it has no files. */
export function projectionsOf(volume: Volume): { sources: Projection[]; mode: number } | undefined {
  const { projected, secret, configMap, downwardAPI } = volume;
  if (projected) return { sources: projected.sources, mode: projected.defaultMode };
  if (secret) return { sources: [{ secret: { ...secret, name: secret.secretName } }], mode: secret.defaultMode };
  if (configMap) return { sources: [{ configMap }], mode: configMap.defaultMode };
  if (downwardAPI) return { sources: [{ downwardAPI }], mode: downwardAPI.defaultMode };
  return undefined;
}

/** The files of a volume that show the pod itself, and so change with it. */
export function shownFiles(volume: Volume, pod: Pod): VolumeFile[] {
  const { sources, mode } = projectionsOf(volume) ?? { sources: [], mode: 0 };
  return sources.flatMap(({ downwardAPI }) => (downwardAPI ? shown(downwardAPI.items, mode, pod) : []));
}

/**
 * The files of a volume; of two for one path the later one.
 *
 * @throws Missing, Failure `kubernetes_unavailable`, `kubernetes_denied`
 */
export async function filesOf(volume: Volume, world: VolumeWorld): Promise<VolumeFile[]> {
  const { sources, mode } = projectionsOf(volume) ?? { sources: [], mode: 0 };
  const files = await Promise.all(sources.map((source) => filesFrom(source, mode, world)));
  return [...new Map(files.flat().map((file) => [file.path, file])).values()];
}

async function filesFrom(source: Projection, mode: number, world: VolumeWorld): Promise<VolumeFile[]> {
  const { secret, configMap, downwardAPI, serviceAccountToken } = source;
  if (downwardAPI) return shown(downwardAPI.items, mode, world.pod);
  if (serviceAccountToken) {
    return [{ path: serviceAccountToken.path, content: Buffer.from(await world.token(serviceAccountToken)), mode }];
  }
  const ref = secret ?? configMap;
  if (!ref) return [];
  const data = (await (secret ? world.sources.secret(secret) : world.sources.configMap(ref))) ?? {};
  const items = ref.items ?? Object.keys(data).map((key) => ({ key, path: key, mode: undefined }));
  return items.flatMap(({ key, path, mode: own }) => {
    const content = data[key];
    return content === undefined ? [] : [{ path, content, mode: own ?? mode }];
  });
}

function shown(items: NonNullable<Projection['downwardAPI']>['items'], mode: number, pod: Pod): VolumeFile[] {
  return items.map(({ path, mode: own, fieldRef }) => ({
    path,
    content: Buffer.from(fieldRef ? fieldOf(pod, fieldRef.fieldPath) : ''),
    mode: own ?? mode,
  }));
}

/**
 * Writes the files that have changed. Each appears whole: it is written to `aside`, which lies on the same file system
 * and is seen by no container, and moved.
 */
export async function writeFiles(dir: string, aside: string, files: readonly VolumeFile[]): Promise<void> {
  await mkdir(dir, { recursive: true });
  await mkdir(aside, { recursive: true, mode: 0o700 });
  for (const [index, { path, content, mode }] of files.entries()) {
    const target = within(dir, path);
    const before = await readFile(target).catch(() => undefined);
    if (before?.equals(content)) continue;
    await mkdir(dirname(target), { recursive: true });
    const draft = join(aside, String(index));
    await writeFile(draft, content);
    await chmod(draft, mode);
    await rename(draft, target);
  }
}

/** A path inside a directory, however it is written: `..` leads no further than the directory itself. */
export function within(dir: string, path: string): string {
  return join(dir, normalize(join('/', path)));
}
