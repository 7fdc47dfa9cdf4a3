import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { Failure } from '../errors/failure.ts';
import { notFound, refusal } from './answers.ts';
import { algorithmOf, type ContentId } from './digest.ts';
import { parsePullSpec } from './pull-spec.ts';
import type { Answer, Call, Send } from './transport.ts';

/** Content for a registry: a file, streamed, or bytes in memory. */
export type BlobSource = ContentId & ({ path: string } | { bytes: Buffer });

export interface BlobCalls {
  /** See {@link createBlobCalls}; the stream fails when the content is not what digest and size say. */
  blob(repository: string, content: { digest: string; size?: number }): Promise<Readable>;
  hasBlob(repository: string, digest: string): Promise<boolean>;
  uploadBlob(repository: string, source: BlobSource): Promise<void>;
  mountBlob(repository: string, digest: string, from: string): Promise<'mounted' | 'not mounted'>;
}

/**
 * Blobs of repositories, which are named `registry/path`.
 *
 * - `blob` streams one, checked while it flows. Failure `image_unreadable` when absent or not what its digest says.
 * - `uploadBlob` does nothing when the repository has the blob already. Failure `registry_refused`.
 * - `mountBlob` takes a blob over from another repository of the same registry; registries may decline.
 */
export function createBlobCalls(send: Send): BlobCalls {
  return { blob, hasBlob, uploadBlob, mountBlob };

  async function blob(repository: string, { digest, size }: { digest: string; size?: number }): Promise<Readable> {
    const call = blobCall(repository, digest, 'GET');
    const answer = await send(call);
    if (answer.statusCode === 404) {
      await answer.body.discard();
      throw new Failure('image_unreadable', `${repository} lacks the blob ${digest}`, {
        cause: notFound(call.subject),
      });
    }
    if (answer.statusCode !== 200) throw await refusal(call, answer);
    return Readable.from(verified(answer.body.stream(), call, digest, size), { objectMode: false });
  }

  async function* verified(body: AsyncIterable<Buffer>, call: Call, digest: string, size: number | undefined) {
    const hash = createHash(algorithmOf(digest));
    let seen = 0;
    for await (const chunk of body) {
      seen += chunk.length;
      if (size !== undefined && seen > size) break;
      hash.update(chunk);
      yield chunk;
    }
    if ((size !== undefined && seen !== size) || `${algorithmOf(digest)}:${hash.digest('hex')}` !== digest) {
      throw new Failure('image_unreadable', `The blob ${call.subject} is not what its digest says`);
    }
  }

  async function hasBlob(repository: string, digest: string): Promise<boolean> {
    for (const method of ['HEAD', 'GET'] as const) {
      const call = blobCall(repository, digest, method);
      const answer = await send(call);
      const { statusCode } = answer;
      if (statusCode !== 200 && statusCode !== 404 && method === 'GET') throw await refusal(call, answer);
      await answer.body.discard();
      if (statusCode === 200 || statusCode === 404) return statusCode === 200;
      // Registries that do not know HEAD answer it with an error; GET decides.
    }
    return false;
  }

  async function uploadBlob(repository: string, source: BlobSource): Promise<void> {
    if (await hasBlob(repository, source.digest)) return;
    const location = await startUpload(repository, source.digest);
    const call: Call = {
      ...uploadCall(repository, source.digest),
      method: 'PUT',
      path: withQuery(location, 'digest', source.digest),
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(source.size) },
    };
    const answer =
      'bytes' in source ? await send({ ...call, body: () => source.bytes }) : await sendFile(call, source.path);
    if (answer.statusCode !== 201) throw await refusal(call, answer);
    await answer.body.discard();
  }

  async function sendFile(call: Call, path: string): Promise<Answer> {
    // Opened here, so that a file we cannot read is not taken for a registry we cannot reach.
    const file = await open(path);
    try {
      return await send({
        ...call,
        body: () => file.createReadStream({ start: 0, autoClose: false, highWaterMark: 256 * 1024 }),
      });
    } finally {
      await file.close();
    }
  }

  async function startUpload(repository: string, digest: string): Promise<string> {
    const call = uploadCall(repository, digest);
    const answer = await send(call);
    if (answer.statusCode !== 202) throw await refusal(call, answer);
    await answer.body.discard();
    return locationOf(call, answer);
  }

  async function mountBlob(repository: string, digest: string, from: string): Promise<'mounted' | 'not mounted'> {
    const source = parsePullSpec(from).repository;
    const call = uploadCall(repository, digest);
    const query = `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(source)}`;
    const answer = await send({ ...call, mountFrom: source, path: `${call.path}${query}` });
    if (answer.statusCode !== 201 && answer.statusCode !== 202) throw await refusal(call, answer);
    await answer.body.discard();
    if (answer.statusCode === 201) return 'mounted';
    // Declined by opening an upload, which nobody is going to finish.
    const cancelled = await send({ ...call, method: 'DELETE', path: locationOf(call, answer) });
    await cancelled.body.discard();
    return 'not mounted';
  }
}

function blobCall(repository: string, digest: string, method: 'GET' | 'HEAD'): Call {
  const { registry, repository: path } = parsePullSpec(repository);
  return {
    method,
    registry,
    repository: path,
    actions: 'pull',
    path: `/v2/${path}/blobs/${digest}`,
    subject: `${registry}/${path}@${digest}`,
  };
}

function uploadCall(repository: string, digest: string): Call {
  const { registry, repository: path } = parsePullSpec(repository);
  return {
    method: 'POST',
    registry,
    repository: path,
    actions: 'pull,push',
    path: `/v2/${path}/blobs/uploads/`,
    headers: { 'content-length': '0' },
    subject: `${registry}/${path}@${digest}`,
  };
}

function locationOf(call: Call, answer: Answer): string {
  const location = [answer.headers.location ?? []].flat()[0];
  if (location !== undefined) return location;
  throw new Failure('registry_answer_invalid', `The registry ${call.registry} opened an upload without a Location`);
}

function withQuery(location: string, name: string, value: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}${name}=${encodeURIComponent(value)}`;
}
