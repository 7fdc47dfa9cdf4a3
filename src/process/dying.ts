import { spawnSync } from 'node:child_process';

let possible: boolean | undefined;

/**
 * The command as one that the kernel ends with this process, however this process ends: an orphan would go on with what
 * somebody else has taken over by then, or hold a port. Where the machine cannot do that (no util-linux), the command
 * as it is; a container's end takes everything in it along anyway.
 */
export function dyingWithUs(file: string, args: readonly string[]): [file: string, args: string[]] {
  possible ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  return possible ? ['setpriv', ['--pdeathsig', 'KILL', file, ...args]] : [file, [...args]];
}

/** Whether what ended with this exit code and these words on stderr is a command of {@link dyingWithUs} that is not there. */
export function wasNotFound({ exitCode, stderr }: { exitCode: number; stderr: string }): boolean {
  return possible === true && exitCode >= 126 && stderr.startsWith('setpriv: failed to execute');
}

/** Kills a process that leads a group of its own (`detached`), with all the group; one that never began or is gone is fine. */
export function killGroup({ pid }: { pid?: number | undefined }): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

/** What ends the children that run; there are more of them than listeners one may add to the process without a warning. */
const running = new Set<() => void>();
process.on('exit', () => {
  for (const kill of running) kill();
});

/** Calls `kill` should this process exit before `gone` settles. */
export function killedWithUs(kill: () => void, gone: Promise<unknown>): void {
  running.add(kill);
  void gone.finally(() => running.delete(kill));
}
