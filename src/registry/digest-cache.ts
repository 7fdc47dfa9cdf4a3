/**
 * Remembers what digests stand for; that never changes. Bounded by bytes, least recently used goes first.
 * One per client, so that nobody reads through it what their own credentials do not open (request-handling.md §18, H20).
 */
export interface DigestCache<T> {
  get(key: string): T | undefined;
  /** @param size bytes the value is counted with */
  put(key: string, value: T, size: number): void;
}

export function createDigestCache<T>(limit: number): DigestCache<T> {
  const kept = new Map<string, { value: T; size: number }>();
  let total = 0;
  return {
    get(key) {
      const entry = kept.get(key);
      if (entry === undefined) return undefined;
      kept.delete(key);
      kept.set(key, entry);
      return entry.value;
    },
    put(key, value, size) {
      if (size > limit) return;
      total += size - (kept.get(key)?.size ?? 0);
      kept.delete(key);
      kept.set(key, { value, size });
      for (const [oldest, entry] of kept) {
        if (total <= limit) break;
        kept.delete(oldest);
        total -= entry.size;
      }
    },
  };
}
