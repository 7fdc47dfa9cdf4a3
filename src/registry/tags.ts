import { refusal } from './answers.ts';
import type { BlobCalls } from './blobs.ts';
import { digestOfBytes } from './digest.ts';
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, type Manifest, MEDIA } from './manifest.ts';
import { nameOf, type PullSpec, parsePullSpec, withDigest } from './pull-spec.ts';
import type { Send } from './transport.ts';

export interface TagCalls {
  putManifest(repository: string, reference: string, mediaType: string, bytes: Buffer): Promise<string>;
  point(tagSpec: string, digest: string): Promise<void>;
  removeTag(tagSpec: string): Promise<void>;
}

interface TagSource {
  send: Send;
  manifest(spec: string): Promise<Manifest>;
  /** The digest behind a tag, tombstones included. */
  presentDigest(spec: string): Promise<string | null>;
  uploadBlob: BlobCalls['uploadBlob'];
}

/**
 * Writes to tags.
 *
 * - `putManifest` puts a manifest under a tag or its own digest and gives the digest. Failure `registry_refused`;
 *   `registry_unavailable` while the registry does not know a blob of it.
 * - `point` makes a tag name content its repository has already: one GET by digest (mostly from the cache), one PUT.
 *   Failure `image_not_found` when the repository has no such content.
 * - `removeTag` makes a tag absent and leaves all other tags on its digest alone; fine when it is absent already.
 *   Failure `registry_refused` where the registry allows no deletes; the tag is untouched then.
 */
export function createTagCalls({ send, manifest, presentDigest, uploadBlob }: TagSource): TagCalls {
  return { putManifest, point, removeTag };

  async function putManifest(repository: string, reference: string, mediaType: string, bytes: Buffer): Promise<string> {
    const digest = digestOfBytes(bytes);
    const call = {
      ...manifestCall(parsePullSpec(repository), reference, 'PUT'),
      headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
      body: () => bytes,
    };
    const answer = await send(call);
    if (answer.statusCode !== 201) throw await refusal(call, answer);
    await answer.body.discard();
    return digest;
  }

  async function point(tagSpec: string, digest: string): Promise<void> {
    const { tag = 'latest' } = parsePullSpec(tagSpec);
    const { mediaType, bytes } = await manifest(withDigest(tagSpec, digest));
    await putManifest(tagSpec, tag, mediaType, bytes);
  }

  async function removeTag(tagSpec: string): Promise<void> {
    const present = await presentDigest(tagSpec);
    if (present === null) return;
    const spec = parsePullSpec(tagSpec);
    if ((await remove(spec, spec.tag ?? 'latest')) !== 'not supported') return;
    // Deleting by digest takes every tag of the digest along, so the tag first gets a digest that no other tag has.
    const tombstone = tombstoneOf(tagSpec);
    const digest = digestOfBytes(tombstone);
    // Tells whether deletes are allowed at all before the tag is touched, and ends a removal that was interrupted.
    if ((await removeByDigest(spec, digest)) === 'removed' && present === digest) return;
    await uploadBlob(nameOf(tagSpec), { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
    await putManifest(tagSpec, spec.tag ?? 'latest', MEDIA.ociManifest, tombstone);
    await removeByDigest(spec, digest);
  }

  async function remove(spec: PullSpec, reference: string): Promise<'removed' | 'absent' | 'not supported'> {
    const call = manifestCall(spec, reference, 'DELETE');
    const answer = await send(call);
    if ([400, 405].includes(answer.statusCode)) {
      await answer.body.discard();
      return 'not supported';
    }
    if (![200, 202, 204, 404].includes(answer.statusCode)) throw await refusal(call, answer);
    await answer.body.discard();
    return answer.statusCode === 404 ? 'absent' : 'removed';
  }

  async function removeByDigest(spec: PullSpec, digest: string): Promise<'removed' | 'absent'> {
    const call = manifestCall(spec, digest, 'DELETE');
    const answer = await send(call);
    if (![200, 202, 204, 404].includes(answer.statusCode)) throw await refusal(call, answer);
    await answer.body.discard();
    return answer.statusCode === 404 ? 'absent' : 'removed';
  }
}

/**
 * A manifest of nothing, for one tag alone. It is the same at every call, so that a tag left on it by a crash
 * is known for absent by its digest ({@link isTombstone}) and the removal can be repeated.
 */
function tombstoneOf(tagSpec: string): Buffer {
  const { tag = 'latest' } = parsePullSpec(tagSpec);
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: EMPTY_CONFIG,
      layers: [],
      annotations: { 'indexwright.tombstone': `${nameOf(tagSpec)}:${tag}` },
    }),
  );
}

/** Whether this digest behind this tag means that the tag is being removed. */
export function isTombstone(tagSpec: string, digest: string): boolean {
  return digest === digestOfBytes(tombstoneOf(tagSpec));
}

function manifestCall({ registry, repository }: PullSpec, reference: string, method: 'PUT' | 'DELETE') {
  return {
    method,
    registry,
    repository,
    actions: method === 'PUT' ? ('pull,push' as const) : ('delete' as const),
    path: `/v2/${repository}/manifests/${reference}`,
    subject: `${registry}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`,
  };
}
