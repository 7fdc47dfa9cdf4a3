import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Base } from '../builder/base.ts';
import { type Additions, assembleImage, assembleList } from '../builder/image.ts';
import { makeLayer } from '../builder/layer.ts';
import { pushImages } from '../builder/push.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';

export interface BinaryContent {
  client: RegistryClient;
  arches: readonly string[];
  /** The opm that becomes /bin/opm for this machine's architecture; the others get a placeholder. */
  opmPath: string;
}

export interface BinaryName {
  /** `registry/repository:tag` to push to. */
  ref: string;
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
export async function makeBinaryImage({ ref, labels, ...content }: BinaryContent & BinaryName): Promise<string> {
  const [digest = ''] = await makeBinaryImages(content, [labels === undefined ? { ref } : { ref, labels }]);
  return digest;
}

/** The same for several that differ in their labels alone: what is in them is made once. Gives their digests in order. */
export async function makeBinaryImages(
  { client, arches, opmPath }: BinaryContent,
  names: readonly BinaryName[],
): Promise<string[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-base-'));
  try {
    const system = await systemLayer(scratch);
    const parts = await Promise.all(
      arches.map(async (arch) => ({ base: emptyBase(arch), binary: await binaryLayer(scratch, arch, opmPath) })),
    );
    const bases = parts.map(({ base }) => base);
    const layers = [system, ...parts.map(({ binary }) => binary)];
    const digests: string[] = [];
    for (const { ref, labels = {} } of names) {
      const images = parts.map(({ base, binary }) => assembleImage(base, additions([system, binary], labels)));
      const list = assembleList(images);
      const { tag = 'latest' } = parsePullSpec(ref);
      await pushImages(client, { repository: nameOf(ref), tags: [tag], bases, layers, images, list, scratch });
      digests.push(list.digest);
    }
    return digests;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
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
  return { copies, labels, command: { entrypoint: ['/bin/opm'] }, created: new Date(0).toISOString() };
}
