import { randomUUID } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ContentId } from './digest.ts';

export interface BlobStore {
  /**
   * The path of some content: from the store, or else fetched into it.
   *
   * @param fetch gives the content as a stream that fails when it is not what its digest says
   */
  get(content: ContentId, fetch: () => Promise<Readable>): Promise<string>;
}

const GIB = 1024 ** 3;
/** Milliseconds in which whoever was given a path has surely opened it; until then the file is not removed. */
const GRACE = 10 * 60_000;
const DAY = 24 * 3600_000;

/**
 * Files by their digest, in a directory that several processes may share: a file is whole from the moment it is there.
 *
 * @param limit bytes; beyond it the least recently used files go
 */
export function createBlobStore(dir: string, limit = 20 * GIB): BlobStore {
  const arriving = new Map<string, Promise<void>>();
  return { get };

  async function get(content: ContentId, fetch: () => Promise<Readable>): Promise<string> {
    const path = join(dir, content.digest.replace(':', '-'));
    const others = arriving.get(path);
    if (others !== undefined) {
      // Why it failed for them (their credentials, their cancelled request) is no answer for us.
      const came = await others.then(
        () => true,
        () => false,
      );
      return came ? path : get(content, fetch);
    }
    const arrival = fill(path, content.size, fetch).finally(() => arriving.delete(path));
    arriving.set(path, arrival);
    await arrival;
    return path;
  }

  async function fill(path: string, size: number, fetch: () => Promise<Readable>): Promise<void> {
    if (await present(path, size)) return;
    await store(path, fetch);
    await trim();
  }

  async function store(path: string, fetch: () => Promise<Readable>): Promise<void> {
    await mkdir(dir, { recursive: true });
    const partial = `${path}.${randomUUID()}.part`;
    try {
      await pipeline(await fetch(), createWriteStream(partial, { flags: 'wx', flush: true }));
      await rename(partial, path);
    } catch (thrown) {
      await rm(partial, { force: true });
      throw thrown;
    }
  }

  async function trim(): Promise<void> {
    const files = await listed();
    let total = files.reduce((sum, { size }) => sum + size, 0);
    const now = Date.now();
    for (const { path, size, used } of files.toSorted((a, b) => a.used - b.used)) {
      const stale = path.endsWith('.part') ? now - used > DAY : total > limit && now - used > GRACE;
      if (!stale) continue;
      await rm(path, { force: true });
      total -= size;
    }
  }

  async function listed(): Promise<{ path: string; size: number; used: number }[]> {
    const paths = (await readdir(dir)).map((name) => join(dir, name));
    const found = await Promise.all(paths.map(async (path) => ({ path, info: await infoOf(path) })));
    return found.flatMap(({ path, info }) => (info === null ? [] : [{ path, size: info.size, used: info.mtimeMs }]));
  }
}

/**
 * A private, writable copy of a stored file; shares its blocks where the file system can.
 * Never a link: writing to the copy must not change the store.
 */
export async function copyOut(path: string, to: string): Promise<void> {
  await copyFile(path, to, constants.COPYFILE_FICLONE);
  await chmod(to, 0o600);
}

/** Whether the file is there in full; being asked for counts as use. */
async function present(path: string, size: number): Promise<boolean> {
  if ((await infoOf(path))?.size !== size) return false;
  const now = new Date();
  await utimes(path, now, now);
  return true;
}

async function infoOf(path: string) {
  try {
    return await stat(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw thrown;
  }
}
