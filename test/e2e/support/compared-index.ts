import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { createArtifacts } from '../../../src/registry/artifact.ts';
import { type IndexContent, indexContent, skipsSorted } from './index-content.ts';
import { migrated } from './opm-alone.ts';
import type { World } from './world.ts';

/** An index's database and catalog, looked at from outside. */
export interface ComparedIndex {
  /** Pull spec by tag. */
  spec: string;
  /** The database of the index, or of one request for it. */
  database<T>(request: number | 'shared', read: (path: string) => Promise<T> | T): Promise<T>;
  /** Name → git's id of each folder below `configs/` of the branch. */
  folders(): Promise<Record<string, string>>;
  /** Package → text of its catalog.json in the branch. */
  catalogs(packages: readonly string[]): Promise<Record<string, string>>;
  /**
   * The database and the folders of all its packages are what opm alone has made, up to what opm itself leaves to chance
   * (opm-and-index-db.md §3.7).
   *
   * @param theirs path of the database that opm alone has changed
   */
  expectEqual(request: number | 'shared', opm: string, theirs: string): Promise<void>;
}

const Folder = z.object({ name: z.string(), id: z.string(), type: z.string() });
const File = z.object({ content: z.string() });

/** @param ref `namespace/name:tag`, made before */
export function comparedIndex(w: World, { ref, ocp }: { ref: string; ocp: string }): ComparedIndex {
  const [path = '', tag = ''] = ref.split(':');
  const name = path.split('/').at(-1) ?? '';
  const project = `/projects/${encodeURIComponent(`catalogs/${path.replaceAll('/', '-')}`)}`;

  const self: ComparedIndex = {
    spec: `${w.sandbox.at.registry}/${ref}`,

    async database(request, read) {
      const cacheDir = mkdtempSync(join(w.sandbox.layout.dir, 'artifact-'));
      try {
        const own = request === 'shared' ? `${name}-${tag}` : `${name}-${tag}-${request}`;
        const artifact = `${w.sandbox.at.registry}/indexwright/index-db:${own}`;
        const pulled = await createArtifacts({ cacheDir }).pull(await w.sandbox.registryClient(), artifact);
        return await read(pulled.path);
      } finally {
        rmSync(cacheDir, { recursive: true, force: true });
      }
    },

    async folders() {
      const tree = `${project}/repository/tree?path=configs&ref=${ocp}&per_page=100`;
      const entries = await w.gitlab('GET', tree, z.array(Folder));
      return Object.fromEntries(
        entries.flatMap((entry) => (entry.type === 'tree' ? [[entry.name, entry.id] as const] : [])).sort(),
      );
    },

    async catalogs(packages) {
      const read = async (one: string) => {
        const file = encodeURIComponent(`configs/${one}/catalog.json`);
        const { content } = await w.gitlab('GET', `${project}/repository/files/${file}?ref=${ocp}`, File);
        return [one, Buffer.from(content, 'base64').toString('utf8')] as const;
      };
      return Object.fromEntries(await Promise.all(packages.map(read)));
    },

    async expectEqual(request, opm, theirs) {
      const [ours, alone, wanted] = await Promise.all([
        self.database(request, indexContent),
        indexContent(theirs),
        migrated(w, opm, theirs),
      ]);
      expectSame(ours, alone);
      expect(sorted(Object.entries(await self.catalogs([...wanted.keys()])))).toEqual(sorted(wanted));
    },
  };
  return self;
}

/** Part by part, so that a difference is shown where it is. */
export function expectSame(ours: IndexContent, theirs: IndexContent): void {
  for (const [table, rows] of Object.entries(theirs.tables)) {
    expect({ table, rows: ours.tables[table] }).toEqual({ table, rows });
  }
  expect(ours).toEqual(theirs);
}

/** Package → text of its catalog.json, without the order that opm leaves to chance. */
export const sorted = (texts: Iterable<[string, string]>): Record<string, string> =>
  Object.fromEntries([...texts].map(([key, text]) => [key, skipsSorted(text)]));
