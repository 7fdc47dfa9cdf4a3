import { z } from 'zod';
import { Failure } from '../../../errors/failure.ts';
import { patiently } from '../../../errors/retry.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Api } from './api.ts';

const ENDLESS = { total: Number.POSITIVE_INFINITY, first: 200, longest: 2000 };

const List = z.object({ metadata: z.object({ resourceVersion: z.string() }), items: z.array(z.unknown()).nullable() });
const Frame = z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']), object: z.unknown() });
const Versioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

export interface Follower<T> {
  /** Everything there is, at the start and whenever something may have been missed. */
  listed(all: T[]): void;
  changed(object: T): void;
  deleted(object: T): void;
}

/**
 * Follows a collection until `signal` aborts: list, watch, watch again from where it ended; list again when the version
 * is too old. A server that is not there is waited for without end; so is one that refuses, which the log tells.
 */
export async function follow<Schema extends z.ZodType>(
  api: Api,
  collection: string,
  schema: Schema,
  follower: Follower<z.infer<Schema>>,
  { signal, log }: { signal: AbortSignal; log: Log },
): Promise<void> {
  let version: string | undefined;
  const once = async () => {
    if (version === undefined) {
      const list = await api.call('GET', collection, List, { signal });
      if (list === undefined) return;
      follower.listed((list.items ?? []).map((item) => schema.parse(item)));
      version = list.metadata.resourceVersion;
    }
    const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${version}`;
    for await (const line of api.lines(`${collection}?${query}`, signal)) {
      const { type, object } = Frame.parse(JSON.parse(line));
      if (type === 'ERROR') {
        version = undefined;
        return;
      }
      version = Versioned.parse(object).metadata.resourceVersion;
      if (type === 'DELETED') follower.deleted(schema.parse(object));
      else if (type !== 'BOOKMARK') follower.changed(schema.parse(object));
    }
  };
  while (!signal.aborted) {
    try {
      await patiently(
        ENDLESS,
        signal,
        () =>
          once().catch((cause) => {
            signal.throwIfAborted();
            // Whatever it was, what came meanwhile is unknown: begin with a list.
            version = undefined;
            throw new Failure('kubernetes_unavailable', `The watch of ${collection} broke`, { cause });
          }),
        (err) => log.warn({ err }, 'watch'),
      );
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    }
  }
}
