import { digestOfBytes } from '../registry/digest.ts';
import { MEDIA } from '../registry/manifest.ts';
import type { Base, ImageConfiguration } from './base.ts';
import type { Layer } from './layer.ts';

/** Where a catalog image says its catalog is; what makes it one. */
export const CONFIGS_LABEL = 'operators.operatorframework.io.index.configs.v1';

const CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json';
const LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

/** What is put on top of a base, the same for every architecture. */
export interface Additions {
  /** `text` is the instruction the history shows. */
  copies: readonly { text: string; layer: Layer }[];
  labels: Record<string, string>;
  /** `base`: entrypoint and command stay the base's. */
  command: { entrypoint?: readonly string[]; cmd?: readonly string[] } | 'base';
  /** RFC 3339. */
  created: string;
  /** Labels that say when the image was built: where the base has one, it would tell the base's date. */
  labelsOfDate: readonly string[];
}

/** A document as it is pushed. */
export interface Document {
  mediaType: string;
  bytes: Buffer;
  digest: string;
  size: number;
}

export interface Image {
  config: Document;
  manifest: Document;
  platform: { architecture: string; os: string; variant?: string };
}

/** The image of one architecture, in docker's v2 schema 2 (konflux-and-gitlab.md §3.1, real-cluster.md §7). */
export function assembleImage(base: Base, additions: Additions): Image {
  const config = document(CONFIG_TYPE, configure(base, additions));
  const added = additions.copies.map(({ layer }) => ({
    mediaType: LAYER_TYPE,
    size: layer.size,
    digest: layer.digest,
  }));
  const manifest = document(MEDIA.dockerManifest, {
    schemaVersion: 2,
    mediaType: MEDIA.dockerManifest,
    config: { mediaType: config.mediaType, size: config.size, digest: config.digest },
    layers: [...base.layers, ...added],
  });
  const { architecture, os, variant } = base.config;
  return { config, manifest, platform: { architecture, os, ...(variant ? { variant } : {}) } };
}

/** The manifest list of the images, in docker's v2 schema 2. */
export function assembleList(images: readonly Image[]): Document {
  return document(MEDIA.dockerList, {
    schemaVersion: 2,
    mediaType: MEDIA.dockerList,
    manifests: images.map(({ manifest: { mediaType, size, digest }, platform }) => ({
      mediaType,
      size,
      digest,
      platform,
    })),
  });
}

function configure(
  { config, layers }: Base,
  { copies, labels, command, created, labelsOfDate }: Additions,
): ImageConfiguration {
  // A record of the last build's temporary container, in images of old builders; it would contradict the new settings.
  const { container: _, container_config: __, ...kept } = config;
  const { Entrypoint, Cmd, ...settings } = config.config;
  const start =
    command === 'base'
      ? { ...(Entrypoint === undefined ? {} : { Entrypoint }), ...(Cmd === undefined ? {} : { Cmd }) }
      : {
          ...(command.entrypoint === undefined ? {} : { Entrypoint: command.entrypoint }),
          ...(command.cmd === undefined ? {} : { Cmd: command.cmd }),
        };
  const inherited = Object.entries(settings.Labels).map(([key, value]) =>
    labelsOfDate.includes(key) ? [key, created] : [key, value],
  );
  return {
    ...kept,
    created,
    config: { ...settings, ...start, Labels: sorted({ ...Object.fromEntries(inherited), ...labels }) },
    rootfs: { type: 'layers', diff_ids: [...config.rootfs.diff_ids, ...copies.map(({ layer }) => layer.diffId)] },
    history: [
      ...completeHistory(config.history, layers.length),
      ...copies.map(({ text }) => ({ created, created_by: text })),
    ],
  };
}

/** One entry per layer is what readers expect; squashed bases have fewer. */
function completeHistory(history: ImageConfiguration['history'], layers: number): ImageConfiguration['history'] {
  const missing = layers - history.filter(({ empty_layer }) => empty_layer !== true).length;
  return missing > 0 ? [...Array.from({ length: missing }, () => ({ comment: 'base layer' })), ...history] : history;
}

function sorted(labels: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function document(mediaType: string, content: object): Document {
  const bytes = Buffer.from(JSON.stringify(content));
  return { mediaType, bytes, digest: digestOfBytes(bytes), size: bytes.length };
}
