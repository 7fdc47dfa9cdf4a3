import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { z } from 'zod';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');
/** As OpenShift chooses them: no user of the image's, group 0. */
export const UID = 1_000_660_000;

const Config = z.object({
  User: z.string(),
  Env: z.array(z.string()),
  Entrypoint: z.array(z.string()),
  WorkingDir: z.string(),
});
export type ImageConfig = z.infer<typeof Config>;

export interface Image {
  config: ImageConfig;
  root: string;
  close(): Promise<void>;
}

async function buildah(...args: string[]): Promise<string> {
  const script = `. "${join(SCRIPTS, 'buildah.sh')}" && buildah_here "$@"`;
  return (await promisify(execFile)('bash', ['-c', script, 'bash', ...args], { maxBuffer: 1 << 26 })).stdout.trim();
}

/** Makes the files of an image of `make image` reachable, by buildah; no container runs. */
export async function mountImage(name: string): Promise<Image> {
  const { OCIv1 } = z
    .object({ OCIv1: z.object({ config: Config }) })
    .parse(JSON.parse(await buildah('inspect', '--type', 'image', name)));
  const container = await buildah('from', '--pull-never', name);
  return {
    config: OCIv1.config,
    root: await buildah('mount', container),
    close: async () => void (await buildah('rm', container)),
  };
}

export interface RunIn {
  /** Folders of the host that are visible at the same place and may be written to. */
  shared?: string[];
  /** Folders that are visible at the image's stateDir and the like: host path → path inside. */
  mounted?: Record<string, string>;
  env?: Record<string, string>;
}

/**
 * The command with which a program of the image runs as a pod would run it: an arbitrary user with group 0, no
 * capabilities, no new privileges, a read-only root, /tmp of its own, the image's environment; the network is the host's.
 */
function confined(image: Image, command: readonly string[], { shared = [], mounted = {}, env = {} }: RunIn): string[] {
  const variables = [...image.config.Env, ...Object.entries(env).map(([key, value]) => `${key}=${value}`)];
  return [
    ...['--ro-bind', image.root, '/', '--proc', '/proc', '--dev', '/dev', '--perms', '1777', '--tmpfs', '/tmp'],
    ...Object.entries(mounted).flatMap(([from, to]) => [...openParents(to), '--bind', from, to]),
    ...shared.flatMap((path) => ['--bind', path, path]),
    ...['--unshare-pid', '--die-with-parent', '--chdir', image.config.WorkingDir, '--clearenv'],
    ...variables.flatMap((variable) => {
      const at = variable.indexOf('=');
      return ['--setenv', variable.slice(0, at), variable.slice(at + 1)];
    }),
    ...['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID', '--'],
    ...['/usr/bin/setpriv', '--reuid', String(UID), '--regid', '0', '--clear-groups', '--inh-caps=-all'],
    ...['--no-new-privs', '--', ...command],
  ];
}

/** The folders above a path, which bubblewrap would make for their owner alone. */
function openParents(path: string): string[] {
  const names = path.split('/').slice(1, -1);
  return names.flatMap((_, at) => ['--perms', '0755', '--dir', `/${names.slice(0, at + 1).join('/')}`]);
}

/** Runs a command of the image to its end and gives what it says; @throws Error with its output when it fails */
export async function runIn(image: Image, command: readonly string[], options: RunIn = {}): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('bwrap', confined(image, command, options));
  return `${stdout}${stderr}`;
}

export interface Service {
  /** Runs a command beside it that sees its /tmp, as an exec probe does, and gives the exit code. */
  probe(command: readonly string[]): Promise<number | null>;
  stop(): Promise<void>;
}

/** Starts the image's entrypoint with arguments; resolves when a line of its log matches `ready`. */
export async function startIn(
  image: Image,
  args: readonly string[],
  { ready, ...options }: RunIn & { ready: RegExp },
): Promise<Service> {
  const child = spawn('bwrap', confined(image, [...image.config.Entrypoint, ...args], options), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = once(child, 'close');
  await readyOf(child, ready);
  return {
    async probe(command) {
      const inside = await firstChild(child.pid);
      const enter = ['--target', String(inside), '--mount', '--pid', '--', ...command];
      const probe = spawn('nsenter', enter, { stdio: 'ignore' });
      const [code] = (await once(probe, 'exit')) as [number | null];
      return code;
    },
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function readyOf(child: ChildProcess, ready: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    child.once('close', () => reject(new Error(`it ended before it was ready:\n${said.join('\n')}`)));
    if (!child.stderr) return;
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line);
      if (ready.test(line)) resolve();
    });
  });
}

/** The process that bwrap has put into its own namespaces. */
async function firstChild(pid: number | undefined): Promise<number> {
  const { stdout } = await promisify(execFile)('pgrep', ['-P', String(pid)]);
  return Number(stdout.split('\n')[0]);
}
