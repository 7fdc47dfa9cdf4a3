import { createHash } from 'node:crypto';

const LONGEST = 63;

/** `<parent><suffix>`, with a hash in the middle when that is longer than a label may be (konflux-and-gitlab.md §2.1). */
export function childName(parent: string, suffix: string): string {
  if (parent.length + suffix.length <= LONGEST) return parent + suffix;
  const hash = (text: string) => createHash('md5').update(text).digest('hex');
  const room = LONGEST - 32 - suffix.length;
  if (room > 0) return parent.slice(0, room) + hash(parent) + suffix;
  return (parent + suffix).slice(0, LONGEST - 32) + hash(parent + suffix);
}
