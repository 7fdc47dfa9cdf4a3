import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killedWithUs, killGroup } from '../../process/dying.ts';
import type { Step } from './schema.ts';

const DEFAULT_SHEBANG = '#!/bin/sh\nset -e\n';

export interface StepPlace {
  /** Private directory of the task: home, scripts and the default working directory are made in it. */
  dir: string;
  /** Complete environment, HOME and TMPDIR excepted. */
  env: Record<string, string>;
  signal: AbortSignal;
  output: (chunk: Buffer) => void;
}

/**
 * Runs one step, all variables replaced, as a local process in a process group of its own, and gives its exit code.
 * There is no image and no file system of its own: absolute paths of a container do not exist here. HOME is empty.
 * The group is killed when `signal` aborts (then the code is 137) and whatever of it is left when the step ends.
 */
export async function runStep(step: Step, place: StepPlace): Promise<number> {
  const { dir, env, signal, output } = place;
  const [home, tmp, cwd] = [join(dir, 'home'), join(dir, 'tmp'), step.workingDir ?? join(dir, 'work')];
  for (const path of [home, tmp, join(dir, 'work')]) await mkdir(path, { recursive: true, mode: 0o700 });
  const [program, ...args] = await commandLine(step, dir);
  if (program === undefined || signal.aborted) return 137;
  const child = spawn(program, args, {
    cwd,
    env: { ...env, HOME: home, TMPDIR: tmp },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => killGroup(child);
  signal.addEventListener('abort', kill);
  child.stdout.on('data', output);
  child.stderr.on('data', output);
  // `exit` and not `close`: a grandchild that holds the pipes must not hold the step. It is killed, then they close.
  child.on('exit', kill);
  let spawnError = false;
  child.on('error', (error: NodeJS.ErrnoException) => {
    spawnError = true;
    output(Buffer.from(`${error.code === 'ENOENT' ? 'no such file or directory' : error.message}: ${program}\n`));
  });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  killedWithUs(kill, closed);
  const code = await closed;
  signal.removeEventListener('abort', kill);
  return spawnError ? 127 : signal.aborted ? 137 : (code ?? 137);
}

async function commandLine(step: Step, dir: string): Promise<string[]> {
  if (step.script === undefined) return [...step.command, ...step.args];
  const file = join(dir, `script-${step.name}`);
  const script = step.script.startsWith('#!') ? step.script : DEFAULT_SHEBANG + step.script;
  await writeFile(file, script, { mode: 0o700 });
  return [...interpreter(script), file, ...step.args];
}

/**
 * The interpreter and its one argument, as the kernel reads a `#!` line. A file that was just written cannot be
 * executed itself: a child forked meanwhile may still hold it open for writing (ETXTBSY).
 */
function interpreter(script: string): string[] {
  const [, program, argument] = /^#![ \t]*([^ \t\n]+)[ \t]*(.*?)[ \t]*\n/.exec(script) ?? [];
  return [program ?? '/bin/sh', ...(argument ? [argument] : [])];
}
