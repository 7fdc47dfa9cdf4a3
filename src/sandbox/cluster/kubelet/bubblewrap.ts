import { posix } from 'node:path';
import type { Image } from './images.ts';

export interface Mount {
  /** Path in the container. */
  at: string;
  /** Path on this machine. */
  from: string;
  readOnly: boolean;
}

export interface Enclosure {
  image: Image;
  mounts: readonly Mount[];
  /** A folder on disk for `/tmp`: what steps write there can be larger than memory. */
  tmp: string;
  /** The file the container's last words are read from, and where the container finds it. */
  termination: { file: string; at: string };
  workingDir: string | undefined;
}

/** Links a machine has in its root where `/usr` is merged; programs and loaders are looked for there. */
const MERGED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

/**
 * Arguments of bubblewrap up to the command: a root of its own that shows `/usr` and `/etc` of this machine, the image's
 * folders and the pod's volumes; processes of its own, which all end with the first one, and with the kubelet. The
 * network is the machine's. Nothing secret may stand here: everybody can read arguments.
 *
 * Mount points below `/usr` and `/etc` must be there already; a real container could have new ones.
 *
 * @param merged the links the machine's root has, by name
 */
export function bubblewrap(enclosure: Enclosure, merged: readonly string[] = MERGED): string[] {
  const { image, mounts, tmp, termination, workingDir } = enclosure;
  const args = [
    '--die-with-parent',
    '--unshare-pid',
    '--unshare-ipc',
    '--tmpfs',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
  ];
  args.push('--dir', '/root', '--bind', tmp, '/tmp');
  for (const path of ['/usr', '/etc']) args.push('--ro-bind', path, path);
  for (const name of merged) args.push('--symlink', `usr/${name}`, `/${name}`);
  const own = [
    ...Object.entries(image.binds ?? {}).map(([at, from]) => ({ at, from, readOnly: true })),
    ...Object.entries(image.writable ?? {}).map(([at, from]) => ({ at, from, readOnly: false })),
  ];
  for (const { at, from, readOnly } of [...outerFirst(own), ...outerFirst(mounts)]) {
    args.push(readOnly ? '--ro-bind' : '--bind', from, at);
  }
  args.push('--bind', termination.file, termination.at);
  // Container engines make the working directory when it is not there.
  if (workingDir !== undefined && !isReadOnly(workingDir, mounts)) args.push('--dir', workingDir);
  args.push('--chdir', workingDir ?? '/', '--');
  return args;
}

/** What lies inside of another mount must be mounted after it. */
function outerFirst(mounts: readonly Mount[]): Mount[] {
  const depth = ({ at }: Mount) => posix.normalize(at).split('/').filter(Boolean).length;
  return mounts.toSorted((a, b) => depth(a) - depth(b));
}

function isReadOnly(path: string, mounts: readonly Mount[]): boolean {
  const around = mounts.filter(({ at }) => path === at || path.startsWith(at.endsWith('/') ? at : `${at}/`));
  const inner = around.toSorted((a, b) => a.at.length - b.at.length).at(-1);
  return inner?.readOnly ?? ['/usr', '/etc'].some((root) => path === root || path.startsWith(`${root}/`));
}
