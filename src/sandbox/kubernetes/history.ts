import type { KubeObject, Resource } from './object.ts';
import { Refusal, tooOld } from './refusal.ts';

export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: Resource;
  key: string;
  object: KubeObject;
  /** The object before the change; absent for ADDED. */
  before: KubeObject | undefined;
  version: number;
}

/**
 * The last changes of a store, newest last. Bounded like etcd's: what has left it answers 410
 * (konflux-and-gitlab.md §2.5, real-cluster.md §2).
 */
export class History {
  #changes: Change[] = [];
  /** Changes up to and including this version are forgotten. */
  #compacted: number;
  readonly #length: number;

  constructor(version: number, length: number) {
    this.#compacted = version;
    this.#length = length;
  }

  record(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > this.#length) this.#compacted = this.#changes.shift()?.version ?? this.#compacted;
  }

  /** Forgets everything up to now, as a compaction does. */
  compact(): void {
    this.#compacted = this.#changes.at(-1)?.version ?? this.#compacted;
    this.#changes = [];
  }

  /** The changes after `version`. @throws Refusal 410 when they are not all here any more */
  since(version: number): Change[] {
    if (version < this.#compacted) throw tooOld(version, this.#compacted);
    return this.#changes.filter((change) => change.version > version);
  }

  /**
   * The objects of a resource as they were at `version`, made from those of now by undoing the changes since.
   *
   * @throws Refusal 410 when that version is forgotten
   */
  rewind(resource: Resource, now: ReadonlyMap<string, KubeObject>, version: number): Map<string, KubeObject> {
    const then = new Map(now);
    for (const change of this.since(version).reverse()) {
      if (change.resource !== resource) continue;
      if (change.before === undefined) then.delete(change.key);
      else then.set(change.key, change.before);
    }
    return then;
  }
}

/** A page of a list that history no longer reaches. */
export const continueExpired = () =>
  new Refusal(
    410,
    'Expired',
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
  );
