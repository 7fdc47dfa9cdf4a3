import { spawn } from 'node:child_process';
import { lstatSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killGroup } from '../../../process/dying.ts';
import type { PodLogs } from '../../kubernetes/logs.ts';
import { bubblewrap, type Mount } from './bubblewrap.ts';
import { expand } from './environment.ts';
import type { Image } from './images.ts';
import type { Container } from './pod.ts';
import { within } from './volumes.ts';

export interface ContainerPlace {
  /** The pod's private folder. */
  dir: string;
  uid: string;
  image: Image;
  env: Readonly<Record<string, string>>;
  /** Folder of each volume of the pod. */
  volumes: ReadonlyMap<string, string>;
  logs: PodLogs;
  signal: AbortSignal;
  onStart: () => void;
}

export interface ContainerEnd {
  exitCode: number;
  /** What the container wrote to its termination message path. */
  message: Buffer;
}

const NOT_STARTED = 127;
const KILLED = 137;

/** The links in this machine's root that lead to the same name in `/usr`. */
const merged = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'].filter((name) => {
  const entry = lstatSync(`/${name}`, { throwIfNoEntry: false });
  return entry?.isSymbolicLink() && readlinkSync(`/${name}`).replace(/^\//, '') === `usr/${name}`;
});

/**
 * Runs a container as a process under bubblewrap to its end. When `signal` aborts it is killed with everything it has
 * started (the code is then 137): the first process of its own process space ends, and all others with it.
 *
 * Its user, limits, ports, probes and life-cycle hooks are not honoured.
 */
export async function runContainer(container: Container, place: ContainerPlace): Promise<ContainerEnd> {
  const { dir, uid, image, env, logs, signal, onStart } = place;
  const folder = join(dir, 'containers', container.name);
  const termination = { file: join(folder, 'termination'), at: container.terminationMessagePath };
  const tmp = join(folder, 'tmp');
  await mkdir(tmp, { recursive: true });
  await chmod(tmp, 0o1777);
  await writeFile(termination.file, '');
  const { workingDir } = container;
  const mounts = await mountsOf(container, place);
  const enclosure = { image, mounts, tmp, termination, workingDir };
  const command = (container.command.length > 0 ? container.command : (image.command ?? [])).concat(container.args);
  if (signal.aborted) return { exitCode: KILLED, message: Buffer.alloc(0) };
  const say = (chunk: Buffer | string) => logs.append(uid, container.name, chunk);
  logs.begin(uid, container.name);
  const exitCode = await new Promise<number>((resolve) => {
    const words = command.map((word) => expand(word, env));
    // The environment goes by way of bubblewrap's own: as arguments, everybody could read it.
    const child = spawn('bwrap', [...bubblewrap(enclosure, merged), ...words], {
      env: { ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = () => killGroup(child);
    signal.addEventListener('abort', kill);
    child.on('spawn', () => {
      onStart();
      if (signal.aborted) kill();
    });
    child.stdout.on('data', say);
    child.stderr.on('data', say);
    let failed = false;
    child.on('error', (error) => {
      failed = true;
      say(`bubblewrap cannot be started: ${error.message}\n`);
    });
    child.on('close', (code) => {
      signal.removeEventListener('abort', kill);
      resolve(failed ? NOT_STARTED : signal.aborted ? KILLED : (code ?? KILLED));
    });
  });
  logs.end(uid, container.name);
  return { exitCode, message: await readFile(termination.file) };
}

async function mountsOf(container: Container, { volumes, env }: ContainerPlace): Promise<Mount[]> {
  return Promise.all(
    container.volumeMounts.map(async ({ name, mountPath, subPath, subPathExpr, readOnly }) => {
      const inner = subPathExpr === undefined ? subPath : expand(subPathExpr, env);
      const volume = volumes.get(name);
      if (volume === undefined)
        throw new Error(`container ${container.name} mounts volume ${name}, which is not there`);
      const from = within(volume, inner);
      if (!(await stat(from).catch(() => undefined))) await mkdir(from, { recursive: true });
      return { at: mountPath, from, readOnly };
    }),
  );
}
