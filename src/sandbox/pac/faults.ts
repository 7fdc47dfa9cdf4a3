/** Makes Pipelines-as-Code misbehave on purpose (konflux-and-gitlab.md §6.2 points 1 and 2). */
export class PacFaults {
  #dropped = 0;
  #silent = false;
  #held = false;
  #released: (() => void)[] = [];

  /** The next hooks are answered 202 and forgotten. */
  dropNext(hooks = 1): void {
    this.#dropped += hooks;
  }

  /** All hooks are answered 202 and forgotten, until `speak`. */
  silence(): void {
    this.#silent = true;
  }

  speak(): void {
    this.#silent = false;
  }

  /** New runs stay Pending, as in a full queue, until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    for (const listener of this.#released) listener();
  }

  get held(): boolean {
    return this.#held;
  }

  /** Called when the queue may move again. */
  onRelease(listener: () => void): void {
    this.#released.push(listener);
  }

  /** Whether the hook that arrives now is lost. */
  swallows(): boolean {
    if (this.#silent) return true;
    if (this.#dropped === 0) return false;
    this.#dropped -= 1;
    return true;
  }
}
