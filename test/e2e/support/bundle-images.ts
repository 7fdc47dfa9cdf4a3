import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleImage, assembleList } from '../../../src/builder/image.ts';
import { makeLayer, normaliseModes } from '../../../src/builder/layer.ts';
import { pushImages } from '../../../src/builder/push.ts';
import type { RegistryClient } from '../../../src/registry/client.ts';
import { nameOf, parsePullSpec, withDigest } from '../../../src/registry/pull-spec.ts';

/** An image as tests need one: some files, some labels, several arches. */
export interface ImageToPush {
  /** `registry/repository:tag` */
  ref: string;
  labels?: Record<string, string>;
  /** Path in the image → text. */
  files?: Record<string, string>;
  arches?: string[];
}

/** Pushes an image as a manifest list and gives its pull spec by digest; the same content at two places has one digest. */
export async function pushImage(
  client: RegistryClient,
  { ref, labels = {}, files = {}, arches = ['amd64'] }: ImageToPush,
): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'indexwright-image-'));
  try {
    const root = join(scratch, 'root');
    mkdirSync(root);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    await normaliseModes(root);
    const layer = await makeLayer({ from: root, target: '/', uid: 0, gid: 0 }, join(scratch, 'layer.tar.gz'));
    const bases = arches.map((architecture) => ({
      config: {
        architecture,
        os: 'linux',
        config: { Labels: {} },
        rootfs: { type: 'layers' as const, diff_ids: [] },
        history: [],
      },
      layers: [],
      repository: null,
    }));
    const additions = {
      copies: [{ text: 'COPY . /', layer }],
      labels,
      command: {},
      created: new Date(0).toISOString(),
      labelsOfDate: [],
    };
    const images = bases.map((base) => assembleImage(base, additions));
    const list = assembleList(images);
    const repository = nameOf(ref);
    const tags = [parsePullSpec(ref).tag ?? 'latest'];
    await pushImages(client, { repository, tags, bases, layers: [layer], images, list, scratch });
    return withDigest(ref, list.digest);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Label of images that are bundles for those who look for related bundles. */
export const IS_BUNDLE = { 'com.redhat.delivery.operator.bundle': 'true' };

/** A bundle whose CSV refers to images by variables, in this order. */
export function bundleFiles(name: string, images: readonly string[]): Record<string, string> {
  const variables = images.map(
    (image, at) => `                - name: RELATED_IMAGE_${at}\n                  value: ${image}\n`,
  );
  return {
    [`manifests/${name}.clusterserviceversion.yaml`]: `apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata:
  name: ${name}.v1.0.0
spec:
  install:
    strategy: deployment
    spec:
      deployments:
      - name: ${name}
        spec:
          template:
            spec:
              containers:
              - name: manager
                env:
                - name: HOME
                  value: /
${variables.join('')}  version: 1.0.0
`,
    'metadata/annotations.yaml': `annotations:\n  operators.operatorframework.io.bundle.package.v1: ${name}\n`,
  };
}
