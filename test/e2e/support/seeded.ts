import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';

/** An empty directory for a sandbox; the caller deletes it. */
export const newDirectory = () => mkdtempSync(join(tmpdir(), 'indexwright-e2e-'));

/**
 * A directory to start a sandbox in; the caller deletes it. Its example index is there already where that can be: the
 * sandboxes of one of vitest's workers, one after the other, begin as copies of the first one at the same place. Addresses
 * and paths stand in what is seeded, so no two of them can be there at once; then the second one is empty.
 */
export async function seededDirectory(): Promise<string> {
  const slot = join(inject('scratch'), `worker-${process.env.VITEST_POOL_ID ?? 0}`);
  const [dir, seeded] = [join(slot, 'sandbox'), join(slot, 'seeded')];
  if (existsSync(dir)) return newDirectory();
  mkdirSync(dir, { recursive: true });
  if (!existsSync(seeded)) {
    const sandbox = await startSandbox({ dir, service: 'alone' });
    await sandbox.stop();
    execFileSync('cp', ['-a', dir, `${seeded}.partial`]);
    renameSync(`${seeded}.partial`, seeded);
  } else execFileSync('cp', ['-aT', seeded, dir]);
  return dir;
}
