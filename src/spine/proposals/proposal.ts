import type { AnyStep } from '../step.ts';

/**
 * How a change is put before its pipeline and gets onto the branch: the steps of a delivery that differ by it. Whatever
 * the kind, their names are `propose`, `merge` and `close`: journal, commit point and recovery are the same for all.
 */
export interface Proposal {
  /** Of a delivery that overwrites: `propose` makes the pipeline start, `merge` is the commit point. */
  overwriting: { propose: AnyStep; merge: AnyStep };
  /** Of one that is only built: `close` leaves nothing of it in the repository. */
  throwAway: { propose: AnyStep; close: AnyStep };
}
