import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import type { Log } from '../telemetry/log.ts';
import { type Connection, statusOf } from './connection.ts';
import { type Inbox, type News, type OpenInbox, openInbox } from './inbox.ts';
import { PipelineRun, SHA_LABEL } from './model.ts';
import { currentVersion } from './runs.ts';

export interface Feed {
  /** News of the runs of one commit, from now until disposed. */
  follow(sha: string): Inbox;
}

/** A watch that lived so long (ms) was a good one: the next starts without waiting. */
const GOOD = 10_000;
/** Waits between watches that die young, in milliseconds; a server that cuts each at once sees two calls a minute. */
const PATIENCE = { total: Number.POSITIVE_INFINITY, first: 100, longest: 30_000 };

const WatchError = z.object({ code: z.number() });
const Versioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/**
 * One watch on a namespace's runs, shared by all who wait; it lives as long as somebody does. It only makes waiting
 * short: whoever follows must also look for itself now and then, because a watch can be cut, hang or lose a line
 * (konflux-and-gitlab.md §2.5, §2.6). After each gap in the history everybody is told `missed` and looks for its own run,
 * which costs less than listing the namespace.
 */
export function createFeed(connection: Connection, log: Log): Feed {
  const inboxes = new Map<OpenInbox, string>();
  let running: AbortController | undefined;

  const tell = (news: News, sha?: string) => {
    for (const [inbox, followed] of inboxes) if (sha === undefined || sha === followed) inbox.put(news);
  };

  return {
    follow(sha) {
      const inbox = openInbox(() => {
        inboxes.delete(inbox);
        if (inboxes.size === 0) running?.abort();
      });
      inboxes.set(inbox, sha);
      if (running === undefined || running.signal.aborted) {
        running = new AbortController();
        void keepWatching(connection, tell, log, running.signal);
      }
      return inbox;
    },
  };
}

type Tell = (news: News, sha?: string) => void;

/** Where in the history of the namespace a watch is; undefined when that must be asked for anew. */
interface Place {
  version: string | undefined;
}

/** Watches until aborted; never throws. */
async function keepWatching(connection: Connection, tell: Tell, log: Log, signal: AbortSignal): Promise<void> {
  const place: Place = { version: undefined };
  const session = async () => {
    const began = Date.now();
    let cause: unknown;
    try {
      if (place.version === undefined) {
        place.version = await currentVersion(connection, signal);
        tell({ kind: 'missed' });
      }
      await watchOnce(connection, place.version, place, tell, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      cause = thrown;
    }
    // However it ended: the library ends every watch that was quiet for 30 s with an error.
    if (Date.now() - began >= GOOD) return;
    // Whatever it was (a role without the verb `watch`, say), those who wait still look for themselves.
    throw new Failure('kubernetes_unavailable', 'The watch on PipelineRuns ended early', { cause });
  };
  const onRetry = (err: Failure, wait: number) => {
    const denied = err.cause instanceof Failure && err.cause.code === 'kubernetes_denied';
    log[denied ? 'warn' : 'debug']({ err, wait }, 'watching PipelineRuns again');
  };
  while (!signal.aborted) {
    await patiently(PATIENCE, signal, session, onRetry).catch((thrown: unknown) => {
      if (!signal.aborted) throw thrown;
    });
  }
}

/** One watch from `version` to its end, with its place kept up to date; an expired version ends it cleanly. */
async function watchOnce(
  connection: Connection,
  version: string,
  place: Place,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  const broken = new AbortController();
  const onEvent = (type: string, object: unknown) => {
    if (broken.signal.aborted) return;
    if (type === 'ERROR') {
      if (WatchError.safeParse(object).data?.code === 410) place.version = undefined;
      return broken.abort();
    }
    place.version = Versioned.safeParse(object).data?.metadata.resourceVersion ?? place.version;
    if (type === 'BOOKMARK') return;
    const run = PipelineRun.safeParse(object);
    // Not readable is not nothing: everybody looks for itself.
    if (!run.success) return tell({ kind: 'missed' });
    const sha = run.data.metadata.labels[SHA_LABEL];
    if (sha !== undefined) tell({ kind: type === 'DELETED' ? 'deleted' : 'changed', run: run.data }, sha);
  };
  try {
    await connection.watch({
      path: `/apis/tekton.dev/v1/namespaces/${connection.namespace}/pipelineruns`,
      query: { labelSelector: SHA_LABEL, resourceVersion: version, allowWatchBookmarks: true },
      onEvent,
      signal: AbortSignal.any([signal, broken.signal]),
    });
  } catch (thrown) {
    signal.throwIfAborted();
    if (broken.signal.aborted) return;
    if (!(thrown instanceof Failure) || statusOf(thrown.cause) !== 410) throw thrown;
    place.version = undefined;
  }
}
