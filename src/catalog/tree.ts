import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workspace } from '../forge/workspace.ts';
import type { CatalogFolder } from './folders.ts';
import { DEPRECATIONS, isPackageName } from './names.ts';
import type { CatalogReader } from './reader.ts';

/**
 * The catalog of one branch as the code of this room needs it. A workspace may have only some packages on disk;
 * everything else about it (git, commits) is not our business.
 */
export interface CatalogTree {
  /** Absolute path of the branch's `configs` folder. */
  readonly configsDir: string;
  /** Reads its files as the index's opm does. */
  readonly reader: CatalogReader;
  /** Names of all package folders in the present state of the work, on disk or not. Follows every write and removal. */
  packages(): Promise<string[]>;
  /** Brings these packages' folders and deprecations to disk. Names that the branch does not have are ignored. */
  include(packages: readonly string[]): Promise<void>;
  /** Removes a folder of `configs`, and the deprecations of the package of that name, on disk or not. Absent is fine. */
  remove(name: string): Promise<void>;
  /** Removes all that is in `configs`, on disk or not. */
  clear(): Promise<void>;
}

/** Where a package's files are. */
export function packageDir(tree: CatalogTree, name: string): string {
  return join(tree.configsDir, name);
}

/** Where a package's deprecations are (request-handling.md §5). */
export function deprecationsDir(tree: CatalogTree, name: string): string {
  return join(tree.configsDir, DEPRECATIONS, name);
}

/** The folders that hold a package's files: its own, and that of its deprecations. */
export function foldersOf(tree: CatalogTree, name: string): { own: CatalogFolder; deprecations: CatalogFolder } {
  const root = tree.configsDir;
  return {
    own: { root, dir: packageDir(tree, name), shown: name },
    deprecations: { root, dir: deprecationsDir(tree, name), shown: `${DEPRECATIONS}/${name}` },
  };
}

/**
 * The catalog in a sparse workspace, for the change of one request: make a new one after a commit or a discard.
 *
 * @throws Failure of the workspace's own calls from every method
 */
export function workspaceTree(
  workspace: Pick<Workspace, 'dir' | 'include' | 'listPackages' | 'removePath'>,
  reader: CatalogReader,
  signal: AbortSignal,
): CatalogTree {
  const configsDir = join(workspace.dir, 'configs');
  const removed = new Set<string>();
  const included = new Set<string>();
  const paths = (name: string) => [`configs/${name}`, `configs/${DEPRECATIONS}/${name}`];
  return {
    configsDir,
    reader,
    async packages() {
      const committed = (await workspace.listPackages(signal)).filter((name) => !removed.has(name));
      return [...new Set([...committed, ...(await foldersIn(configsDir))])].filter(isPackageName).sort();
    },
    async include(packages) {
      // What was removed would come back as it was committed.
      const wanted = packages.filter((name) => isPackageName(name) && !removed.has(name) && !included.has(name));
      await workspace.include(wanted.flatMap(paths), signal);
      for (const name of wanted) included.add(name);
    },
    async remove(name) {
      for (const path of paths(name)) await workspace.removePath(path, signal);
      removed.add(name);
    },
    async clear() {
      for (const name of await workspace.listPackages(signal)) removed.add(name);
      await workspace.removePath('configs', signal);
    },
  };
}

/** Names of the folders directly below a folder; none when it is not there. */
export async function foldersIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
