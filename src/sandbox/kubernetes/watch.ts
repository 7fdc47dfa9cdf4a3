import type { Call } from './call.ts';
import type { OpenWatch } from './faults.ts';
import type { Change } from './history.ts';
import { selection, versionOf } from './listing.ts';
import { apiVersionOf, type KubeObject, type Resource } from './object.ts';
import { Refusal } from './refusal.ts';
import type { Matches } from './selector.ts';
import type { Store } from './store.ts';

/** The connection a watch writes to. */
export interface Channel {
  write(text: string): void;
  end(): void;
  reset(): void;
  /** Called once when the other side has gone. */
  onClose(listener: () => void): void;
}

export interface WatchOptions {
  /** Milliseconds between bookmarks, for those who asked for them. */
  bookmarkInterval: number;
  /** Seconds a watch lives when the client names no `timeoutSeconds`. */
  timeoutSeconds: number;
}

type Frame = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'; object: unknown };

/**
 * Serves one watch: JSON lines from the given version on, bookmarks on request, an end at `timeoutSeconds`; an object
 * that leaves the selector is sent as DELETED. A version that is too old gives HTTP 200 and one ERROR frame
 * (konflux-and-gitlab.md §2.5, real-cluster.md §2).
 *
 * @throws Refusal 400 before the first byte, for bad selectors and versions
 */
export function serveWatch(
  store: Store,
  resource: Resource,
  call: Call,
  channel: Channel,
  options: WatchOptions,
): OpenWatch {
  const { query, namespace } = call;
  const matches = selection(call);
  const from = versionOf(query.get('resourceVersion') || '0');
  const wantsBookmarks = query.get('allowWatchBookmarks') === 'true';
  const initial = query.get('sendInitialEvents') === 'true';
  let silent = false;
  const send = (frame: Frame) => {
    if (!silent) channel.write(`${JSON.stringify(frame)}\n`);
  };
  const bookmark = (annotations: Record<string, string> = {}) =>
    send({
      type: 'BOOKMARK',
      object: {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: { resourceVersion: String(store.version), creationTimestamp: null, annotations },
      },
    });
  const deliver = (change: Change) => {
    if (change.resource !== resource || (namespace !== undefined && !change.key.startsWith(`${namespace}/`))) return;
    const frame = frameOf(change, matches);
    if (frame) send(frame);
  };

  let unsubscribe = () => {};
  const timers: NodeJS.Timeout[] = [];
  const stop = () => {
    unsubscribe();
    for (const timer of timers) clearTimeout(timer);
  };
  channel.onClose(stop);
  const watch: OpenWatch = {
    call,
    end: () => {
      stop();
      channel.end();
    },
    reset: () => {
      stop();
      channel.reset();
    },
    write: (text) => channel.write(text),
    silence: () => {
      silent = true;
    },
  };

  if (from === 0 || initial) {
    for (const object of store.list(resource, namespace).filter(matches)) send({ type: 'ADDED', object });
    if (initial) bookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    try {
      for (const change of store.history.since(from)) deliver(change);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      send({ type: 'ERROR', object: thrown.status });
      watch.end();
      return watch;
    }
  }
  unsubscribe = store.subscribe(deliver);
  if (wantsBookmarks) timers.push(setInterval(bookmark, options.bookmarkInterval));
  const seconds = Number(query.get('timeoutSeconds') ?? options.timeoutSeconds);
  timers.push(
    setTimeout(() => {
      if (wantsBookmarks) bookmark();
      watch.end();
    }, seconds * 1000),
  );
  return watch;
}

/** What a watcher with this selector sees of a change; undefined: nothing. */
function frameOf({ type, object, before }: Change, matches: Matches): Frame | undefined {
  const was = before !== undefined && matches(before);
  const is = type !== 'DELETED' && matches(object);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object };
  if (!was) return undefined;
  // Who leaves the selector is shown as it was, at the version at which it left.
  const last: KubeObject =
    type === 'DELETED'
      ? object
      : { ...before, metadata: { ...before.metadata, resourceVersion: object.metadata.resourceVersion } };
  return { type: 'DELETED', object: last };
}
