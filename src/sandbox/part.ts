/** One of the sandbox's servers: it can be stopped and started again at its address, with what it kept. */
export interface Part<T> {
  /** The running server; a thrown Error while it is stopped. */
  readonly now: T;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Makes a part of a function that starts something and one that ends it; nothing runs yet. */
export function part<T>(name: string, begin: () => Promise<T>, end: (running: T) => Promise<void>): Part<T> {
  let running: T | undefined;
  return {
    get now() {
      if (running === undefined) throw new Error(`${name} is not running`);
      return running;
    },
    async start() {
      running ??= await begin();
    },
    async stop() {
      const stopping = running;
      running = undefined;
      if (stopping !== undefined) await end(stopping);
    },
  };
}

/** Waits for all, also when one has failed: a part that is still starting could not be stopped. */
export async function allUp(starts: readonly Promise<unknown>[]): Promise<void> {
  for (const start of await Promise.allSettled(starts)) {
    if (start.status === 'rejected') throw start.reason;
  }
}
