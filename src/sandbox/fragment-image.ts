import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleImage } from '../builder/image.ts';
import { makeLayer, normaliseModes } from '../builder/layer.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec, withDigest } from '../registry/pull-spec.ts';

/**
 * Pushes a file-based catalog as a fragment image, with the catalog at `/configs`, and gives its pull spec by digest.
 * Equal content gives an equal digest.
 *
 * @param fbcDir folder with a folder for each package
 * @param ref `registry/repository:tag`
 * @throws Failure of the registry client
 */
export async function pushFragmentImage(
  client: RegistryClient,
  { fbcDir, ref }: { fbcDir: string; ref: string },
): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-fragment-'));
  try {
    const root = join(scratch, 'root');
    await cp(fbcDir, join(root, 'configs'), { recursive: true });
    await normaliseModes(root);
    const layer = await makeLayer({ from: root, target: '/', uid: 0, gid: 0 }, join(scratch, 'layer.tar.gz'));
    const { config, manifest } = assembleImage(
      {
        config: {
          architecture: 'amd64',
          os: 'linux',
          config: { Labels: {} },
          rootfs: { type: 'layers', diff_ids: [] },
          history: [],
        },
        layers: [],
        repository: null,
      },
      {
        copies: [{ text: 'COPY configs /configs', layer }],
        labels: { 'operators.operatorframework.io.index.configs.v1': '/configs' },
        command: {},
        created: new Date(0).toISOString(),
      },
    );
    const repository = nameOf(ref);
    await client.uploadBlob(repository, { digest: layer.digest, size: layer.size, path: layer.file });
    await client.uploadBlob(repository, config);
    await client.putManifest(repository, parsePullSpec(ref).tag ?? 'latest', manifest.mediaType, manifest.bytes);
    return withDigest(ref, manifest.digest);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
