import { posix } from 'node:path';
import { Failure } from '../errors/failure.ts';

export const PACKAGE_LABEL = 'operators.operatorframework.io.bundle.package.v1';
export const MANIFESTS_LABEL = 'operators.operatorframework.io.bundle.manifests.v1';
export const METADATA_LABEL = 'operators.operatorframework.io.bundle.metadata.v1';
export const CHANNELS_LABEL = 'operators.operatorframework.io.bundle.channels.v1';
export const DEFAULT_CHANNEL_LABEL = 'operators.operatorframework.io.bundle.channel.default.v1';

/** Labels of an image as its configuration has them; an image without labels has an empty object. */
export type Labels = Readonly<Record<string, string>>;

/** The package a bundle says it belongs to; undefined when the label is absent or empty. */
export function packageOf(labels: Labels): string | undefined {
  return labels[PACKAGE_LABEL] || undefined;
}

/** The channels a bundle says it belongs to, in its order. */
export function channelsOf(labels: Labels): string[] {
  return (labels[CHANNELS_LABEL] ?? '').split(',').flatMap((name) => name.trim() || []);
}

/** The default channel a bundle asks for; undefined when it does not. */
export function defaultChannelOf(labels: Labels): string | undefined {
  return labels[DEFAULT_CHANNEL_LABEL] || undefined;
}

/**
 * Absolute normalised path of the manifests inside a bundle image (request-handling.md §3.6, §3.7).
 *
 * @throws Failure `bundle_unsupported` when the label is absent or points at the root
 */
export function manifestsPathOf(labels: Labels): string {
  const path = posix.normalize(`/${labels[MANIFESTS_LABEL] ?? ''}`).replace(/(?<=.)\/+$/, '');
  if (path === '/') throw new Failure('bundle_unsupported', "src_path must name a directory under /, got '/'");
  return path;
}

/**
 * Checks that a bundle has every required label with exactly the required value (request-handling.md §3.6).
 *
 * @throws Failure `bundle_label_missing` for the first pair that does not match
 */
export function assertRequiredLabels(bundle: string, labels: Labels, required: Readonly<Record<string, string>>): void {
  for (const [label, value] of Object.entries(required)) {
    if ((labels[label] ?? '') !== value) {
      throw new Failure('bundle_label_missing', `The bundle ${bundle} does not have the label ${label}=${value}`);
    }
  }
}

/**
 * Package → pull specs as they were requested, both in the order of the request. Bundles without the package label are
 * left out (request-handling.md §4, step 7).
 */
export function bundleMapping(bundles: readonly { pullSpec: string; labels: Labels }[]): Record<string, string[]> {
  const mapping = new Map<string, string[]>();
  for (const { pullSpec, labels } of bundles) {
    const name = packageOf(labels);
    if (name !== undefined) mapping.set(name, [...(mapping.get(name) ?? []), pullSpec]);
  }
  return Object.fromEntries(mapping);
}
