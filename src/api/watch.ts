import type { DatabasePool } from '../db/pool.ts';
import { versionsOf } from '../db/steps.ts';
import { describe } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';

/** Milliseconds between looks at the database; a log is looked at as often. */
const LOOK = 500;

/** Tells many listeners of one process what changes in the database, at the price of one query per look. */
export interface RequestWatch {
  /** Version of the request; for those who have just come `''`. */
  listen(id: number): Listener;
}

export interface Listener {
  /** Resolves at the next look, to whether the request may have changed since the last time. */
  next(signal: AbortSignal): Promise<boolean>;
  leave(): void;
}

interface Ear {
  id: number;
  version: string;
  wake: (() => void) | null;
}

/** A watch; it looks only while somebody listens. A database that cannot be reached is asked again at the next look. */
export function requestWatch(database: DatabasePool, log: Log): RequestWatch {
  const ears = new Set<Ear>();
  let versions = new Map<number, string>();
  let looking = false;

  const look = async (): Promise<void> => {
    looking = ears.size > 0;
    if (!looking) return;
    try {
      const ids = [...new Set([...ears].map(({ id }) => id))];
      versions = await database.read((db) => versionsOf(db, ids));
    } catch (failure) {
      log.warn({ cause: describe(failure) }, 'requests cannot be watched now');
    }
    for (const ear of ears) ear.wake?.();
    setTimeout(() => void look(), LOOK);
  };

  return {
    listen(id) {
      const ear: Ear = { id, version: '', wake: null };
      ears.add(ear);
      if (!looking) setTimeout(() => void look(), LOOK);
      looking = true;
      return {
        async next(signal) {
          signal.throwIfAborted();
          await new Promise<void>((resolve, reject) => {
            const abort = () => reject(signal.reason);
            signal.addEventListener('abort', abort, { once: true });
            ear.wake = () => {
              signal.removeEventListener('abort', abort);
              resolve();
            };
          });
          ear.wake = null;
          const version = versions.get(id) ?? ear.version;
          const changed = version !== ear.version;
          ear.version = version;
          return changed;
        },
        leave: () => void ears.delete(ear),
      };
    },
  };
}
