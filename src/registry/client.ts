import { Failure } from '../errors/failure.ts';
import { notFound, refusal } from './answers.ts';
import { type BlobCalls, createBlobCalls } from './blobs.ts';
import { algorithmOf, digestOfBytes } from './digest.ts';
import { createDigestCache } from './digest-cache.ts';
import { createImageCalls, type ImageCalls } from './images.ts';
import { parseJsonDocument } from './json-document.ts';
import { ACCEPT, ImageConfig, type ImageManifest, type Manifest, parseManifest } from './manifest.ts';
import { DIGEST, nameOf, parsePullSpec } from './pull-spec.ts';
import { createTagCalls, isTombstone, type TagCalls } from './tags.ts';
import { type Answer, type Call, createTransport, type TransportOptions } from './transport.ts';

export interface RegistryClient extends BlobCalls, ImageCalls, TagCalls {
  /** Whether the registry answers and lets us in. */
  ping(registry: string): Promise<void>;
  /** The digest a pull spec has now, null where there is nothing. Never from the cache. */
  digestOf(spec: string): Promise<string | null>;
  manifest(spec: string): Promise<Manifest>;
}

export type RegistryClientOptions = TransportOptions;

/** Bytes, as containers/image and containerd have it; larger manifests and configs are taken for an attack. */
const LARGEST_DOCUMENT = 4 * 1024 * 1024;
const CACHE_SIZE = 32 * 1024 * 1024;
/**
 * A client for container registries with one set of credentials. What a digest stands for is read once.
 * Nothing is tried again in here.
 *
 * All calls throw Failure `registry_denied`, `registry_unavailable` or `pull_spec_invalid`, and what
 * {@link createImageCalls}, {@link createBlobCalls} and {@link createTagCalls} say.
 */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const send = createTransport(options);
  const manifests = createDigestCache<Manifest>(CACHE_SIZE);
  const configs = createDigestCache<ImageConfig>(CACHE_SIZE);
  const blobs = createBlobCalls(send);
  return {
    ping,
    digestOf,
    manifest,
    ...blobs,
    ...createImageCalls({ digestOf, manifest, configOf }),
    ...createTagCalls({ send, manifest, presentDigest, uploadBlob: blobs.uploadBlob }),
  };

  async function ping(registry: string): Promise<void> {
    const call: Call = { method: 'GET', registry, actions: 'pull', path: '/v2/', subject: registry };
    const answer = await send(call);
    if (answer.statusCode !== 200) throw await refusal(call, answer);
    await answer.body.discard();
  }

  async function digestOf(spec: string): Promise<string | null> {
    const digest = await presentDigest(spec);
    return digest === null || isTombstone(spec, digest) ? null : digest;
  }

  /** HEAD is a hint: registries answer it with errors where GET works, so anything but a digest is asked for by GET. */
  async function presentDigest(spec: string): Promise<string | null> {
    const told = await hintedDigest(spec);
    if (told !== undefined) return told;
    try {
      return (await fetchManifest(spec)).digest;
    } catch (thrown) {
      if (thrown instanceof Failure && thrown.code === 'image_not_found') return null;
      throw thrown;
    }
  }

  async function hintedDigest(spec: string): Promise<string | undefined> {
    let answer: Answer;
    try {
      answer = await send(readCall(spec, 'HEAD'));
    } catch (thrown) {
      if (mayBeOfHeadAlone(thrown)) return undefined;
      throw thrown;
    }
    await answer.body.discard();
    const told = [answer.headers['docker-content-digest'] ?? []].flat()[0] ?? '';
    return answer.statusCode === 200 && DIGEST.test(told) ? told : undefined;
  }

  async function manifest(spec: string): Promise<Manifest> {
    const { digest } = parsePullSpec(spec);
    const known = digest === undefined ? undefined : manifests.get(`${nameOf(spec)}@${digest}`);
    if (known !== undefined) return known;
    const fetched = await fetchManifest(spec);
    if (isTombstone(spec, fetched.digest)) throw notFound(spec);
    manifests.put(`${nameOf(spec)}@${fetched.digest}`, fetched, fetched.bytes.length);
    return fetched;
  }

  async function fetchManifest(spec: string): Promise<Manifest> {
    const { digest: asked } = parsePullSpec(spec);
    const call = readCall(spec, 'GET');
    const answer = await send(call);
    if (answer.statusCode === 404) {
      await answer.body.discard();
      throw notFound(spec);
    }
    if (answer.statusCode !== 200) throw await refusal(call, answer);
    const bytes = await answer.body.bytes(LARGEST_DOCUMENT);
    const digest = digestOfBytes(bytes, asked === undefined ? 'sha256' : algorithmOf(asked));
    if (asked !== undefined && digest !== asked) {
      throw new Failure('image_unreadable', `The manifest of ${spec} is not what its digest says`);
    }
    const contentType = [answer.headers['content-type'] ?? []].flat()[0] ?? '';
    return { digest, bytes, ...parseManifest(bytes, (contentType.split(';')[0] ?? '').trim(), spec) };
  }

  async function configOf(spec: string, { document: { config } }: ImageManifest): Promise<ImageConfig> {
    const key = `${nameOf(spec)}@${config.digest}`;
    const known = configs.get(key);
    if (known !== undefined) return known;
    if (config.size > LARGEST_DOCUMENT) throw new Failure('image_unreadable', `The config of ${spec} is too large`);
    const bytes = Buffer.concat(await (await blobs.blob(nameOf(spec), config)).toArray());
    const read = parseConfig(bytes, spec);
    configs.put(key, read, bytes.length);
    return read;
  }
}

/** Whether GET may succeed where HEAD failed so: refused, a 5xx, or an answer that is no HTTP or breaks off. */
function mayBeOfHeadAlone(thrown: unknown): boolean {
  if (!(thrown instanceof Failure)) return false;
  const { code, cause, retryAfter } = thrown;
  if (code !== 'registry_unavailable') return code === 'registry_denied' || code === 'registry_answer_invalid';
  const brokeOff = cause instanceof Error && 'code' in cause && cause.code === 'UND_ERR_SOCKET';
  return retryAfter === undefined && (cause === undefined || brokeOff);
}

function parseConfig(bytes: Buffer, spec: string): ImageConfig {
  try {
    return ImageConfig.parse(parseJsonDocument(bytes));
  } catch (cause) {
    throw new Failure('image_unreadable', `The config of ${spec} is not valid`, { cause });
  }
}

function readCall(spec: string, method: 'GET' | 'HEAD'): Call {
  const { registry, repository, tag, digest } = parsePullSpec(spec);
  return {
    method,
    registry,
    repository,
    actions: 'pull',
    path: `/v2/${repository}/manifests/${digest ?? tag}`,
    headers: { accept: ACCEPT },
    subject: spec,
  };
}
