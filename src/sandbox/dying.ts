import { spawnSync } from 'node:child_process';

let possible: boolean | undefined;

/**
 * The command as one that the kernel ends with this process, however this process ends: an orphan would hold its port
 * and the next start of the sandbox would fail. Where the machine cannot do that (no util-linux), the command as it is.
 */
export function dyingWithUs(file: string, args: readonly string[]): [file: string, args: string[]] {
  possible ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  return possible ? ['setpriv', ['--pdeathsig', 'KILL', file, ...args]] : [file, [...args]];
}
