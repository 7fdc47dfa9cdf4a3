import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleImage } from '../builder/image.ts';
import { makeLayer, normaliseModes } from '../builder/layer.ts';
import { readAnnotations } from '../bundle/annotations.ts';
import { MANIFESTS_LABEL, METADATA_LABEL } from '../bundle/labels.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec, withDigest } from '../registry/pull-spec.ts';

/**
 * Pushes an unpacked bundle as an image with the labels of its annotations, and gives its pull spec by digest. Equal
 * content gives an equal digest.
 *
 * @param bundleDir folder with `manifests/` and `metadata/`
 * @param ref `registry/repository:tag`
 * @throws Failure `bundle_unsupported` when it has no annotations, and those of the registry client
 */
export async function pushBundleImage(
  client: RegistryClient,
  { bundleDir, ref, labels = {} }: { bundleDir: string; ref: string; labels?: Record<string, string> },
): Promise<string> {
  const { annotations } = await readAnnotations(bundleDir);
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-bundle-'));
  try {
    const root = join(scratch, 'root');
    await mkdir(root);
    for (const part of ['manifests', 'metadata'])
      await cp(join(bundleDir, part), join(root, part), { recursive: true });
    await normaliseModes(root);
    const layer = await makeLayer({ from: root, target: '/', uid: 0, gid: 0 }, join(scratch, 'layer.tar.gz'));
    const text = Object.entries(annotations).map(([name, value]) => [name, String(value)]);
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
        copies: [{ text: 'COPY bundle /', layer }],
        labels: {
          [MANIFESTS_LABEL]: 'manifests/',
          [METADATA_LABEL]: 'metadata/',
          ...Object.fromEntries(text),
          ...labels,
        },
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
