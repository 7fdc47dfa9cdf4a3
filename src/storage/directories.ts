import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';

/** Files that requests leave behind for their clients (rest-api.md §1.1). */
export type Artifact = 'logs' | 'related_bundles' | 'nested_bundles';

type Directories = Config['storage'];

/** Where the file of a request is or will be; null when the service keeps no such files. */
export function artifactPath(storage: Directories, artifact: Artifact, requestId: number): string | null {
  const [directory, name] = {
    logs: [storage.logsDir, `${requestId}.log`],
    related_bundles: [storage.relatedBundlesDir, `${requestId}_related_bundles.json`],
    nested_bundles: [storage.nestedBundlesDir, `${requestId}_recursive_related_bundles.json`],
  }[artifact] as [string | undefined, string];
  return directory === undefined ? null : join(directory, name);
}

/** The bytes of a request's file as they are stored; null when there is no such file. */
export async function readArtifact(
  storage: Directories,
  artifact: Artifact,
  requestId: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const path = artifactPath(storage, artifact, requestId);
  if (path === null) return null;
  try {
    return await readFile(path);
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw failure;
  }
}

/**
 * Stores a request's file, all of it or nothing; what was there before is replaced. Nothing where the service keeps no
 * such files: callers who cannot do without ask `artifactPath` first.
 */
export async function writeArtifact(
  storage: Directories,
  artifact: Artifact,
  requestId: number,
  content: string,
): Promise<void> {
  const path = artifactPath(storage, artifact, requestId);
  if (path === null) return;
  // Whoever lost the request to another worker may still be writing: never into the same file.
  const partial = `${path}.${process.pid}.partial`;
  await writeFile(partial, content, { mode: 0o664 });
  await rename(partial, path);
}
