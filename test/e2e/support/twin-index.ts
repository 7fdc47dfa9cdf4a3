import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { createArtifacts } from '../../../src/registry/artifact.ts';
import { type IndexContent, indexContent, skipsSorted } from './index-content.ts';
import { migrated, type OpmAlone, opmAlone } from './opm-alone.ts';
import { ADDED } from './proof.ts';
import { BUNDLES, type View, type World } from './world.ts';

/** One index that the service changes, and the same index changed by opm alone. */
export interface TwinIndex {
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
  /** Equality with what opm alone has made, of the database in an artifact and of all `packages` in the branch. */
  expectEqual(tag: string, packages: readonly string[]): Promise<void>;
  /** The database of an artifact's tag. */
  database<T>(tag: string, read: (path: string) => Promise<T> | T): Promise<T>;
  /** Package → git's id of its folder in the branch. */
  folders(): Promise<Record<string, string>>;
  /** Package → text of its catalog.json in the branch. */
  catalogs(packages: readonly string[]): Promise<Record<string, string>>;
}

/** Starts with an empty index of `namespace/name:tag`, and an empty database for opm alone. */
export async function twinIndex(w: World, { ref, ocp, opm }: { ref: string; ocp: string; opm: string }) {
  const index = await w.index(ref, ocp);
  const alone = await opmAlone(w, opm);
  const [name = '', tag = ''] = (ref.split('/').at(-1) ?? '').split(':');
  const project = `/projects/${encodeURIComponent(`catalogs/${ref.replace(`:${tag}`, '').replaceAll('/', '-')}`)}`;
  const Folder = z.object({ name: z.string(), id: z.string() });
  const File = z.object({ content: z.string() });

  const self: TwinIndex = {
    index,
    alone,
    request: (bundles, body = {}) => w.add({ from_index: index, bundles, ...body }),

    async add({ bundles, touched, body = {}, theirs = () => oneByOne(alone, bundles) }) {
      const before = await self.folders();
      const [ended] = await Promise.all([self.request(bundles, body).then((request) => w.end(request)), theirs()]);
      expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
      const after = await self.folders();
      expect(without(after, touched)).toEqual(without(before, touched));
      await self.expectEqual(`${name}-${tag}-${ended.id}`, touched);
      return ended;
    },

    async expectEqual(artifactTag, packages) {
      const [ours, theirs, catalogs] = await Promise.all([
        self.database(artifactTag, indexContent),
        indexContent(alone.db),
        migrated(w, opm, alone.db),
      ]);
      expectSame(ours, theirs);
      const sorted = (texts: Iterable<[string, string]>) =>
        Object.fromEntries([...texts].map(([key, text]) => [key, skipsSorted(text)]));
      const wanted = [...catalogs].filter(([key]) => packages.includes(key));
      expect(sorted(Object.entries(await self.catalogs(packages)))).toEqual(sorted(wanted));
      expect(Object.keys(await self.folders())).toEqual([...catalogs.keys()].sort());
    },

    async database(artifactTag, read) {
      const cacheDir = mkdtempSync(join(w.sandbox.layout.dir, 'artifact-'));
      try {
        const ref = `${w.sandbox.at.registry}/indexwright/index-db:${artifactTag}`;
        const { path } = await createArtifacts({ cacheDir }).pull(await w.sandbox.registryClient(), ref);
        return await read(path);
      } finally {
        rmSync(cacheDir, { recursive: true, force: true });
      }
    },

    async folders() {
      const path = `${project}/repository/tree?path=configs&ref=${ocp}&per_page=100`;
      const entries = await w.gitlab('GET', path, z.array(Folder));
      const packages = entries.filter((entry) => entry.name !== '.gitkeep').map((entry) => [entry.name, entry.id]);
      return Object.fromEntries(packages.sort());
    },

    async catalogs(packages) {
      const read = async (one: string) => {
        const path = encodeURIComponent(`configs/${one}/catalog.json`);
        const { content } = await w.gitlab('GET', `${project}/repository/files/${path}?ref=${ocp}`, File);
        return [one, Buffer.from(content, 'base64').toString('utf8')] as const;
      };
      return Object.fromEntries(await Promise.all(packages.map(read)));
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

/** Part by part, so that a difference is shown where it is. */
function expectSame(ours: IndexContent, theirs: IndexContent): void {
  for (const [table, rows] of Object.entries(theirs.tables)) {
    expect({ table, rows: ours.tables[table] }).toEqual({ table, rows });
  }
  expect(ours).toEqual(theirs);
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
