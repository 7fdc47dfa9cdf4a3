import { Failure } from '../errors/failure.ts';

/** A bundle and the one it substitutes for (`olm.substitutesFor`), both by CSV name. */
export interface Substitution {
  name: string;
  substitutesFor: string | undefined;
}

/**
 * Refuses bundles that substitute for one another in a circle, or for themselves: opm before v1.73.0 takes memory until
 * it is killed (opm-and-index-db.md §2.1). Give the bundles to add together with those already in their packages.
 *
 * @throws Failure `bundle_unsupported` naming the circle
 */
export function assertNoSubstitutionCycle(bundles: readonly Substitution[]): void {
  const target = new Map<string, string>();
  for (const { name, substitutesFor } of bundles) if (substitutesFor) target.set(name, substitutesFor);
  const harmless = new Set<string>();
  for (const start of target.keys()) {
    const path = new Set<string>();
    for (let at: string | undefined = start; at !== undefined && !harmless.has(at); at = target.get(at)) {
      if (path.has(at)) {
        const circle = [...path].slice([...path].indexOf(at));
        throw new Failure(
          'bundle_unsupported',
          circle.length === 1
            ? `The bundle ${at} must not substitute for itself`
            : `The bundles ${circle.join(', ')} substitute for one another in a circle`,
        );
      }
      path.add(at);
    }
    for (const name of path) harmless.add(name);
  }
}
