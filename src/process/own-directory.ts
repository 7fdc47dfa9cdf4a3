import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Failure } from '../errors/failure.ts';

/** In memory on Linux: what is there does not outlive the machine, and never reaches a disk. */
const MEMORY = '/dev/shm';
/** Held by flock(2) as long as the process lives. */
const LOCK = 'lock';
const OWNED = 'process-';
const NEW = '.new-';
/** Milliseconds after which what has no lock that could tell is taken for left behind. */
const LEFT_BEHIND = 24 * 3600_000;
/** Milliseconds between two looks of a process. */
const LOOK_AGAIN = 10_000;
/** Of `flock --nonblock`: somebody else holds the lock. */
const HELD = 1;

const owned = new Map<string, string>();
const looked = new Map<string, number>();
process.on('exit', () => {
  for (const dir of owned.values()) rmSync(dir, { recursive: true, force: true });
});

/**
 * The directory of this process below `parent`, made at its first use with mode 0700; it goes with the process. How
 * {@link sweepDirectories} knows: the kernel holds a lock on a file in it for us, and lets go of it however we end. The
 * lock is seen from other containers and, where the file system has locks over the network, from other machines, unlike
 * a process id.
 *
 * @throws Error of the file system
 */
export function ownDirectory(parent: string): string {
  const known = owned.get(parent);
  if (known !== undefined && existsSync(known)) return known;
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  // Under a name that nobody sweeps until it is locked.
  const fresh = mkdtempSync(join(parent, NEW));
  // Never closed: with it the lock would go. Children do not inherit it.
  const lock = openSync(join(fresh, LOCK), 'w', 0o600);
  const locked = spawnSync('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'ignore', lock] }).status === 0;
  const name = basename(fresh).replace(NEW, locked ? OWNED : 'unlocked-');
  const dir = join(parent, name);
  renameSync(fresh, dir);
  owned.set(parent, dir);
  return dir;
}

/**
 * Removes what processes that are gone have left below `parent`: at once where they had a lock, after a day where the
 * machine or the file system has none. Looks once in ten seconds at most.
 */
export async function sweepDirectories(parent: string): Promise<void> {
  if (Date.now() - (looked.get(parent) ?? 0) < LOOK_AGAIN) return;
  looked.set(parent, Date.now());
  for (const name of await readdir(parent).catch(() => [])) {
    const dir = join(parent, name);
    if (dir === owned.get(parent)) continue;
    if (name.startsWith(OWNED) ? await isAbandoned(dir) : await isOld(dir)) {
      await rm(dir, { recursive: true, force: true });
    }
  }
}

/**
 * Parent for directories with secrets: in memory where there is such a place, and ours alone.
 *
 * @throws Failure `configuration_invalid` when there is no such place
 */
export function secretsParent(): string {
  const user = process.getuid?.() ?? 0;
  for (const folder of new Set([MEMORY, tmpdir()])) {
    const parent = join(folder, `indexwright-${user}`);
    try {
      accessSync(folder, constants.W_OK);
      mkdirSync(parent, { recursive: true, mode: 0o700 });
      const found = lstatSync(parent);
      // Anybody may make this name before us.
      if (found.isDirectory() && found.uid === user && (found.mode & 0o077) === 0) return parent;
    } catch (thrown) {
      if (folder === tmpdir()) throw thrown;
    }
  }
  throw new Failure(
    'configuration_invalid',
    `Neither ${MEMORY} nor the directory for temporary files can hold a private directory: remove indexwright-${user} there, or set TMPDIR`,
  );
}

async function isAbandoned(dir: string): Promise<boolean> {
  let lock: number;
  try {
    lock = openSync(join(dir, LOCK), 'r+');
  } catch (thrown) {
    // It is made before the directory gets its name: somebody was killed while he removed this one.
    return (thrown as NodeJS.ErrnoException).code === 'ENOENT';
  }
  try {
    const child = spawn('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'ignore', lock] });
    const exit = await new Promise<number | null>((resolve) => {
      child.once('exit', resolve);
      child.once('error', () => resolve(null));
    });
    return exit === 0 || (exit !== HELD && (await isOld(dir)));
  } finally {
    closeSync(lock);
  }
}

async function isOld(dir: string): Promise<boolean> {
  const { mtimeMs } = await stat(dir).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > LEFT_BEHIND;
}
