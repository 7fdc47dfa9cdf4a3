import { Failure } from '../../errors/failure.ts';
import { parsePullSpec } from '../../registry/pull-spec.ts';

/** The two things to know about a bundle. */
export interface Bundles {
  /** `name@digest` of a bundle as it is written somewhere. */
  resolve(bundle: string): Promise<string>;
  /** The bundles a bundle refers to, as it writes them, in its order. */
  children(resolved: string): Promise<string[]>;
}

/**
 * Finds all bundles below `parent`, level by level (request-handling.md §12): every reference is listed, the deepest
 * level first and the parent last. A digest is expanded once, so diamonds cost nothing and circles end.
 *
 * @param limit so many references and the search is given up
 * @throws Failure `bundle_unsupported` at the limit, and what reading bundles throws
 */
export async function traverse(parent: string, { resolve, children }: Bundles, limit: number): Promise<string[]> {
  const expanded = new Set<string | undefined>();
  const listed = [parent];
  let found = 0;
  for (let level = [parent]; level.length > 0; ) {
    const next: string[] = [];
    for (const bundle of level) {
      const resolved = await resolve(bundle);
      const { digest } = parsePullSpec(resolved);
      if (expanded.has(digest)) continue;
      expanded.add(digest);
      const below = await children(resolved);
      next.push(...below);
      found += below.length;
      if (found >= limit) {
        throw new Failure('bundle_unsupported', 'Max number of related bundles exceeded. Potential DOS attack!');
      }
    }
    listed.push(...next);
    level = next;
  }
  return listed.reverse();
}
