import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PACKAGE_LABEL } from '../../../src/bundle/labels.ts';
import type { RegistryClient } from '../../../src/registry/client.ts';
import { MEDIA } from '../../../src/registry/manifest.ts';
import { nameOf, parsePullSpec, withDigest } from '../../../src/registry/pull-spec.ts';
import { type TarEntry, tarOf } from '../../registry/fixtures.ts';

/** An image of one platform as no tool would make it: nothing in it is checked. */
export interface CraftedImage {
  /** As they are stored. */
  layers: Buffer[];
  /** Of a whole image configuration, or its bytes. */
  labels?: Record<string, unknown> | Buffer;
}

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

const described = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
  size: bytes.length,
});

/** Pushes it by plain registry calls and gives its pull spec by digest. */
export async function pushCrafted(
  client: RegistryClient,
  ref: string,
  { layers, labels = {} }: CraftedImage,
): Promise<string> {
  const config = Buffer.isBuffer(labels)
    ? labels
    : Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          config: { Labels: labels },
          rootfs: { type: 'layers', diff_ids: [] },
        }),
      );
  const contents = [
    { ...described(CONFIG, config), bytes: config },
    ...layers.map((bytes) => ({ ...described(LAYER, bytes), bytes })),
  ];
  for (const { mediaType: _, ...blob } of contents) await client.uploadBlob(nameOf(ref), blob);
  const [configDescriptor, ...layerDescriptors] = contents.map(({ bytes: _, ...descriptor }) => descriptor);
  return pushManifest(client, ref, {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: configDescriptor,
    layers: layerDescriptors,
  });
}

/** Puts a manifest document as it is and gives its pull spec by digest. */
export async function pushManifest(
  client: RegistryClient,
  ref: string,
  document: { mediaType: string; [key: string]: unknown },
): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(document));
  await client.putManifest(nameOf(ref), parsePullSpec(ref).tag ?? 'latest', document.mediaType, bytes);
  return withDigest(ref, described(document.mediaType, bytes).digest);
}

/** A layer of these entries; a text is a file's content. */
export async function layerOf(entries: readonly TarEntry[]): Promise<Buffer> {
  return gzipSync(await tarOf(entries), { level: 1 });
}

/** Path in the image → text, as tar entries. */
export function fileEntries(files: Record<string, string | Buffer>): TarEntry[] {
  return Object.entries(files).map(([name, content]) => ({ name, content }));
}

/** What a bundle says of itself; all of it sound unless told otherwise. */
export interface BundleText {
  /** By its annotations. */
  operator: string;
  version?: string;
  csvName?: string;
  /** Lines of the CSV's `spec`. */
  spec?: string;
  /** Lines of the CSV's annotations. */
  annotations?: string;
}

/** Files of a small, sound bundle. */
export function bundleText({ operator, version = '1.0.0', csvName, spec, annotations }: BundleText) {
  const name = csvName ?? `${operator}.v${version}`;
  return {
    'manifests/csv.yaml': `apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata:
  name: ${name}
  annotations:
    capabilities: Basic Install
${annotations === undefined ? '' : `    ${annotations}\n`}spec:
  displayName: ${JSON.stringify(operator)}
  version: ${version}
${spec === undefined ? '' : `  ${spec}\n`}  install:
    strategy: deployment
`,
    'metadata/annotations.yaml': `annotations:
  operators.operatorframework.io.bundle.mediatype.v1: registry+v1
  operators.operatorframework.io.bundle.manifests.v1: manifests/
  operators.operatorframework.io.bundle.metadata.v1: metadata/
  ${PACKAGE_LABEL}: ${JSON.stringify(operator)}
  operators.operatorframework.io.bundle.channels.v1: stable
  operators.operatorframework.io.bundle.channel.default.v1: stable
`,
  };
}

/** The labels that go with {@link bundleText}. */
export function bundleLabels(operator: string): Record<string, string> {
  return {
    'operators.operatorframework.io.bundle.mediatype.v1': 'registry+v1',
    'operators.operatorframework.io.bundle.manifests.v1': 'manifests/',
    'operators.operatorframework.io.bundle.metadata.v1': 'metadata/',
    [PACKAGE_LABEL]: operator,
    'operators.operatorframework.io.bundle.channels.v1': 'stable',
    'operators.operatorframework.io.bundle.channel.default.v1': 'stable',
  };
}
