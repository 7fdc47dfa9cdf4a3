import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const MEMORY = '/dev/shm';
/** Bytes; the sandboxes of a whole run need a tenth of it. */
const ROOM = 8 * 2 ** 30;

/** Where temporary files go: into memory if programs can be run from there and there is room, for files come and go by the thousand. */
export function temporaryFolder(): string {
  if (process.env.TMPDIR !== undefined || !existsSync(MEMORY) || !existsSync('/proc/mounts')) return tmpdir();
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === MEMORY);
  if (mount === undefined || mount.split(' ')[3]?.split(',').includes('noexec')) return tmpdir();
  const { bavail, bsize } = statfsSync(MEMORY);
  return bavail * bsize > ROOM ? MEMORY : tmpdir();
}
