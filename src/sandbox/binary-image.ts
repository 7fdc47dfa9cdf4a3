import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Base, readBases } from '../builder/base.ts';
import { type Additions, assembleImage, assembleList } from '../builder/image.ts';
import { makeLayer } from '../builder/layer.ts';
import { pushImages } from '../builder/push.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';

export interface BinaryImage {
  client: RegistryClient;
  /** `registry/repository:tag` to push to. */
  ref: string;
  arches: readonly string[];
  /** The opm that becomes /bin/opm for this machine's architecture; the others get a placeholder. */
  opmPath: string;
  labels?: Record<string, string>;
}

/** What Node calls the architectures that containers call otherwise. */
const CONTAINER_ARCH: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  s390x: 's390x',
  ppc64: 'ppc64le',
};

/**
 * Pushes a small base image of the kind catalogs are built on (konflux-and-gitlab.md §3.5): /bin/opm, user 1001, the few
 * files opm wants. Equal input gives the same digest, which is returned.
 */
export async function makeBinaryImage({ client, ref, arches, opmPath, labels = {} }: BinaryImage): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-base-'));
  try {
    const system = await systemLayer(scratch);
    const parts = await Promise.all(
      arches.map(async (arch) => {
        const binary = await binaryLayer(scratch, arch, opmPath);
        const base = emptyBase(arch);
        return { base, layers: [system, binary], image: assembleImage(base, additions([system, binary], labels)) };
      }),
    );
    const images = parts.map(({ image }) => image);
    const list = assembleList(images);
    const layers = [system, ...parts.flatMap((part) => part.layers.slice(1))];
    const bases = parts.map(({ base }) => base);
    const { tag = 'latest' } = parsePullSpec(ref);
    await pushImages(client, { repository: nameOf(ref), tags: [tag], bases, layers, images, list, scratch });
    return list.digest;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * The same image for the same architectures under another tag of its repository, with more labels; nothing is uploaded but
 * what differs. Gives its digest.
 */
export async function relabelBinaryImage(
  client: RegistryClient,
  {
    from,
    ref,
    arches,
    labels,
  }: { from: string; ref: string; arches: readonly string[]; labels: Record<string, string> },
): Promise<string> {
  const bases = await readBases(client, from, arches);
  const images = bases.map((base) => assembleImage(base, { ...additions([], labels), command: 'base' }));
  const list = assembleList(images);
  const { tag = 'latest' } = parsePullSpec(ref);
  const scratch = tmpdir();
  await pushImages(client, { repository: nameOf(ref), tags: [tag], bases, layers: [], images, list, scratch });
  return list.digest;
}

type LayerMade = Awaited<ReturnType<typeof makeLayer>>;

async function systemLayer(scratch: string): Promise<LayerMade> {
  const root = join(scratch, 'system');
  await mkdir(join(root, 'etc'), { recursive: true });
  await mkdir(join(root, 'tmp'));
  await chmod(join(root, 'tmp'), 0o1777);
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nopm:x:1001:0:opm:/tmp:/sbin/nologin\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  // Without it opm dies where there is no DNS: it looks localhost up.
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  return makeLayer({ from: root, target: '/', uid: 0, gid: 0 }, join(scratch, 'system.tar.gz'));
}

async function binaryLayer(scratch: string, arch: string, opmPath: string): Promise<LayerMade> {
  const root = join(scratch, arch);
  await mkdir(join(root, 'bin'), { recursive: true });
  const own = arch === CONTAINER_ARCH[process.arch];
  if (own) await copyFile(opmPath, join(root, 'bin/opm'));
  else await writeFile(join(root, 'bin/opm'), `#!/bin/sh\necho "this image has no opm for ${arch}" >&2\nexit 1\n`);
  await chmod(join(root, 'bin/opm'), 0o755);
  // opm is 60 MB: the fastest level halves it as well as any, in a third of the time.
  return makeLayer({ from: root, target: '/', uid: 0, gid: 0, level: 1 }, join(scratch, `${arch}.tar.gz`));
}

function emptyBase(architecture: string): Base {
  const settings = { User: '1001', Env: ['PATH=/usr/local/bin:/usr/bin:/bin'], WorkingDir: '/', Labels: {} };
  const config = {
    architecture,
    os: 'linux',
    config: settings,
    rootfs: { type: 'layers' as const, diff_ids: [] },
    history: [],
  };
  return { config, layers: [], repository: null };
}

function additions(layers: readonly LayerMade[], labels: Record<string, string>): Additions {
  const copies = layers.map((layer) => ({ layer, text: 'COPY rootfs /' }));
  return {
    copies,
    labels,
    command: { entrypoint: ['/bin/opm'] },
    created: new Date(0).toISOString(),
    labelsOfDate: [],
  };
}
