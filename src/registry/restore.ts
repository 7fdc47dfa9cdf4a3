import type { RegistryClient } from './client.ts';

/**
 * Puts a tag back to what it was: `old`, or gone when it was absent (null). Only while it still shows `ours`:
 * a tag that somebody else has moved since is theirs now. Safe to repeat.
 */
export async function restoreTag(
  registry: RegistryClient,
  tag: string,
  { ours, old }: { ours: string; old: string | null },
): Promise<void> {
  if (ours === old || (await registry.digestOf(tag)) !== ours) return;
  if (old === null) await registry.removeTag(tag);
  else await registry.point(tag, old);
}
