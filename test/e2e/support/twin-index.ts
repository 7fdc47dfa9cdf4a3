import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { SOAK } from '../../support/soak.ts';
import { type ComparedIndex, comparedIndex, expectSame, sorted } from './compared-index.ts';
import { indexContent } from './index-content.ts';
import { migrated, type OpmAlone, opmAlone } from './opm-alone.ts';
import { ADDED } from './proof.ts';
import { BUNDLES, type View, type World } from './world.ts';

/** One index that the service changes, and the same index changed by opm alone. */
export interface TwinIndex extends Pick<ComparedIndex, 'database' | 'catalogs'> {
  /** Pull spec of the service's index. */
  index: string;
  alone: OpmAlone;
  /** Sends an overwriting add of bundles given by digest. */
  request(bundles: readonly string[], body?: Record<string, unknown>): Promise<View>;
  /**
   * Adds bundles in one request and lets opm alone do `theirs` meanwhile; then both must be equal, and in the branch no
   * package but `touched` may have changed.
   */
  add(change: {
    bundles: readonly string[];
    touched: readonly string[];
    body?: Record<string, unknown>;
    theirs?: () => Promise<unknown>;
  }): Promise<View>;
  /** Equality with what opm alone has made, of the database; by `make soak` of all `packages` in the branch, too. */
  expectEqual(request: number | 'shared', packages: readonly string[]): Promise<void>;
}

/** Starts with an empty index of `namespace/name:tag`, and an empty database for opm alone. */
export async function twinIndex(w: World, { ref, ocp, opm }: { ref: string; ocp: string; opm: string }) {
  // What is compared is the same for all architectures.
  const index = await w.index(ref, ocp, [], { arches: ['amd64'] });
  const alone = await opmAlone(w, opm);
  const { database, folders, catalogs } = comparedIndex(w, { ref, ocp });

  const self: TwinIndex = {
    index,
    alone,
    database,
    catalogs,
    request: (bundles, body = {}) => w.add({ from_index: index, bundles, ...body }),

    async add({ bundles, touched, body = {}, theirs = () => oneByOne(alone, bundles) }) {
      const before = await folders();
      const [ended] = await Promise.all([self.request(bundles, body).then((request) => w.end(request)), theirs()]);
      expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
      const after = await folders();
      expect(without(after, touched)).toEqual(without(before, touched));
      await self.expectEqual(ended.id, touched);
      return ended;
    },

    async expectEqual(request, packages) {
      expectSame(await database(request, indexContent), indexContent(alone.db));
      if (!SOAK) return;
      const alones = await migrated(w, opm, alone.db);
      const wanted = [...alones].filter(([key]) => packages.includes(key));
      expect(sorted(Object.entries(await catalogs(packages)))).toEqual(sorted(wanted));
      expect(Object.keys(await folders())).toEqual([...alones.keys()].sort());
    },
  };
  return self;
}

async function oneByOne(alone: OpmAlone, bundles: readonly string[]): Promise<void> {
  for (const bundle of bundles) expect(await alone.add([bundle])).toBeNull();
}

/** The service tells what opm alone has said; opm prints sets in any order. */
export function expectRefusal({ state, state_reason: reason }: View, said: string | null): void {
  const sorted = (text: string) =>
    text.replace(/\[([^\]]*)\]/g, (_, list: string) => `[${list.split(' ').sort().join(' ')}]`);
  expect({ state, reason: sorted(reason) }).toEqual({
    state: 'failed',
    reason: sorted(`Failed to add the bundles to the index image: ${said}`),
  });
}

function without<T>(from: Record<string, T>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)));
}

const Bundle = z.object({ dir: z.string(), csv: z.string(), state: z.string() });
const Operators = z.object({
  operators: z.array(z.object({ name: z.string(), package: z.string(), bundles: z.array(Bundle) })),
});

/** Operator → its package and the versions that exist today, lowest first. */
export function realOperators(json: unknown): Map<string, { package: string; versions: string[] }> {
  return new Map(
    Operators.parse(json).operators.map((operator) => [
      operator.name,
      {
        package: operator.package,
        versions: operator.bundles.filter(({ state }) => state === 'current').map(({ dir }) => dir),
      },
    ]),
  );
}

export const INDEX_JSON = join(BUNDLES, 'index.json');
