import { Failure } from '../errors/failure.ts';
import type { RegistryClient } from './client.ts';
import type { Manifest } from './manifest.ts';
import { nameOf, parsePullSpec, withDigest } from './pull-spec.ts';

/**
 * Copies an image of all its platforms to another repository of the same registry without moving its blobs. A tag is set
 * last, so it never shows an image that is not whole.
 *
 * @param source by digest
 * @param destination a tag, or the digest
 * @returns whether it is there now; not where the registry declines to mount, refuses or is away, where it is another
 *   registry, or where the image is of a kind we cannot read
 */
export async function mountImage(
  registry: RegistryClient,
  source: string,
  destination: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const [from, to] = [parsePullSpec(source), parsePullSpec(destination)];
  if (from.registry !== to.registry) return false;
  try {
    const whole = await registry.manifest(source);
    const parts = await partsOf(registry, source, whole);
    if (parts === undefined) return false;
    const blobs = [...new Set(parts.flatMap(blobsOf))];
    const mount = (digest: string) => registry.mountBlob(nameOf(destination), digest, nameOf(source));
    // The first one tells whether the registry does such a thing at all.
    for (const some of [blobs.slice(0, 1), blobs.slice(1)]) {
      if ((await Promise.all(some.map(mount))).includes('not mounted')) return false;
    }
    const put = (reference: string, { mediaType, bytes }: Manifest) =>
      registry.putManifest(nameOf(destination), reference, mediaType, bytes);
    await Promise.all(parts.filter((part) => part !== whole).map((part) => put(part.digest, part)));
    await put(to.digest ?? to.tag ?? 'latest', whole);
    return true;
  } catch (thrown) {
    signal?.throwIfAborted();
    if (thrown instanceof Failure) return false;
    throw thrown;
  }
}

/** The images of a list, or the one image; undefined when there is something else among them. */
async function partsOf(registry: RegistryClient, source: string, whole: Manifest): Promise<Manifest[] | undefined> {
  const { document } = whole;
  const parts =
    document.kind === 'list'
      ? await Promise.all(document.manifests.map(({ digest }) => registry.manifest(withDigest(source, digest))))
      : [whole];
  return parts.every((part) => part.document.kind === 'image') ? parts : undefined;
}

function blobsOf({ document }: Manifest): string[] {
  return document.kind === 'image' ? [document.config, ...document.layers].map(({ digest }) => digest) : [];
}
