import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleImage } from '../builder/image.ts';
import { makeLayer, normaliseModes } from '../builder/layer.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec, withDigest } from '../registry/pull-spec.ts';

/** An image from scratch for amd64 with one layer: what bundles and fragments are. */
export interface SingleLayerImage {
  /** `registry/repository:tag` */
  ref: string;
  labels: Record<string, string>;
  /** The instruction that the history shows. */
  text: string;
  /** Puts the content into an empty directory, which becomes the image's root. */
  fill(root: string): Promise<void>;
}

const SCRATCH = {
  config: {
    architecture: 'amd64',
    os: 'linux',
    config: { Labels: {} },
    rootfs: { type: 'layers' as const, diff_ids: [] },
    history: [],
  },
  layers: [],
  repository: null,
};

/**
 * Pushes the image and gives its pull spec by digest; equal content gives an equal digest. Throws what the registry
 * client throws.
 */
export async function pushSingleLayerImage(
  client: RegistryClient,
  { ref, labels, text, fill }: SingleLayerImage,
): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-image-'));
  try {
    const root = await mkdtemp(join(scratch, 'root-'));
    await fill(root);
    await normaliseModes(root);
    const layer = await makeLayer({ from: root, target: '/', uid: 0, gid: 0 }, join(scratch, 'layer.tar.gz'));
    const { config, manifest } = assembleImage(SCRATCH, {
      copies: [{ text, layer }],
      labels,
      command: {},
      created: new Date(0).toISOString(),
      labelsOfDate: [],
    });
    const repository = nameOf(ref);
    await client.uploadBlob(repository, { digest: layer.digest, size: layer.size, path: layer.file });
    await client.uploadBlob(repository, config);
    await client.putManifest(repository, parsePullSpec(ref).tag ?? 'latest', manifest.mediaType, manifest.bytes);
    return withDigest(ref, manifest.digest);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
