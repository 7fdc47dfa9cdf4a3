import type { Verdict } from './conditions.ts';
import type { RunOutcome } from './outcome.ts';

/** Makes runs go wrong on purpose (konflux-and-gitlab.md §6.2 points 3 to 7). Each call strikes the next `times` runs. */
export class TektonFaults {
  #endings: RunOutcome[] = [];
  #changes: ((outcome: RunOutcome) => RunOutcome)[] = [];
  #vanishing: ('running' | 'ended')[] = [];

  /** The next run ends as soon as it has started, with this verdict and these results, whatever its tasks are. */
  endNext(verdict: Verdict, results: RunOutcome['results'] = [], times = 1): void {
    this.#endings.push(...Array<RunOutcome>(times).fill({ verdict, results }));
  }

  /** The next run that ends reports something else: blank results, a trailing newline, a reason nobody has seen. */
  alterNext(change: (outcome: RunOutcome) => RunOutcome, times = 1): void {
    this.#changes.push(...Array<typeof change>(times).fill(change));
  }

  /** The next run is deleted: while its first task runs, or in the moment it ends. */
  vanishNext(when: 'running' | 'ended', times = 1): void {
    this.#vanishing.push(...Array<typeof when>(times).fill(when));
  }

  clear(): void {
    this.#endings = [];
    this.#changes = [];
    this.#vanishing = [];
  }

  takeEnding(): RunOutcome | undefined {
    return this.#endings.shift();
  }

  alter(outcome: RunOutcome): RunOutcome {
    return this.#changes.shift()?.(outcome) ?? outcome;
  }

  takeVanishing(when: 'running' | 'ended'): boolean {
    if (this.#vanishing[0] !== when) return false;
    this.#vanishing.shift();
    return true;
  }
}
