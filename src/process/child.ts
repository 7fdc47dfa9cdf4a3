import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { killedWithUs, killGroup } from './dying.ts';

/** A program to start, with its whole environment. */
export interface Command {
  file: string;
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
  input?: string | Buffer | undefined;
}

/** How a child has ended; `error` is the system's code where it could not be started or wrote too much. */
export interface Ended {
  exitCode: number | null;
  signal: string | null;
  stdout: Buffer;
  stderr: Buffer;
  error?: string;
}

/** A child that leads a process group of its own. */
export interface Child {
  /** Once it has ended and its output is closed; never fails. */
  ended: Promise<Ended>;
  /** Ends it and all it has started. */
  kill(): void;
}

/** Bytes of output; a child that writes more is killed. */
const LARGEST_OUTPUT = 512 * 1024 * 1024;

const NOTHING: Ended = { exitCode: null, signal: null, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

/** The end of a child that a signal has ended before it said anything. */
export const endedBy = (signal: string): Ended => ({ ...NOTHING, signal });

/** Starts a child of this process; it is killed when this process exits. */
export function startHere({ file, args, cwd, env, input }: Command): Child {
  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn(file, args, { cwd, env, detached: true });
  } catch (thrown) {
    // What no system call can take: a NUL in an argument, more arguments than there is room for.
    return { ended: Promise.resolve({ ...NOTHING, error: codeOf(thrown) }), kill: () => {} };
  }
  if (child.stdin === undefined) {
    // Without a file descriptor for its pipes Node makes none, and tells the reason only.
    const failed = new Promise<Ended>((resolve) => {
      child.once('error', (thrown) => resolve({ ...NOTHING, error: codeOf(thrown) }));
    });
    return { ended: failed, kill: () => {} };
  }
  const kill = () => killGroup(child);
  const ended = endOf(child, kill);
  killedWithUs(kill, ended);
  // A child that does not read closes its stdin; its exit code says more than EPIPE.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return { ended, kill };
}

function endOf(child: ChildProcessWithoutNullStreams, kill: () => void): Promise<Ended> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  let size = 0;
  let error: string | undefined;
  const keep = (chunks: Buffer[]) => (chunk: Buffer) => {
    size += chunk.length;
    if (size <= LARGEST_OUTPUT) return void chunks.push(chunk);
    error = 'ENOBUFS';
    kill();
  };
  child.stdout.on('data', keep(out));
  child.stderr.on('data', keep(err));
  child.on('error', (thrown) => {
    error = codeOf(thrown);
  });
  return new Promise((resolve) => {
    child.on('close', (exitCode, signal) => {
      const output = { stdout: Buffer.concat(out), stderr: Buffer.concat(err) };
      resolve({ exitCode, signal, ...output, ...(error === undefined ? {} : { error }) });
    });
  });
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
}
