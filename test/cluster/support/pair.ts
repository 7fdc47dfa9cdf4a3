import type { RealParts } from '../../../src/sandbox/cluster/parts.ts';
import { realWorld, type View, type World, world } from '../../e2e/support/world.ts';
import { Worker } from './worker.ts';

/** A world with its worker. */
export interface Stage<W> {
  w: W;
  worker: Worker;
}

/** The two kinds of cluster with the same service on them. */
export interface Pair {
  real: Stage<World<RealParts>>;
  imitated: Stage<World>;
  close(): Promise<void>;
}

export async function pair(): Promise<Pair> {
  const real = await realWorld({ workers: 0 });
  try {
    const imitated = await world({ workers: 0 });
    return {
      real: { w: real, worker: new Worker(real) },
      imitated: { w: imitated, worker: new Worker(imitated) },
      close: async () => {
        await imitated.close();
        await real.close();
      },
    };
  } catch (thrown) {
    await real.close();
    throw thrown;
  }
}

/** How a request ended, without what differs from one run to the next: names of runs, commits, digests, ports. */
export function ending({ state, state_reason: reason }: View): { state: string; reason: string } {
  const masked = reason
    .replaceAll(/\b(indexwright-catalog-)[a-z0-9-]+/g, '$1*')
    .replaceAll(/\b[0-9a-f]{40}\b/g, 'COMMIT')
    .replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:DIGEST')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST');
  return { state, reason: masked };
}
