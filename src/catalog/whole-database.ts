import { constants } from 'node:fs';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import type { IndexDbEngine } from './engine.ts';
import { changedPackages, fingerprints } from './fingerprint.ts';
import { bundlesIn, upgradeIndexDb } from './index-db.ts';
import type { Opm } from './opm.ts';
import {
  migrateDb,
  type OpmSurroundings,
  registryAdd,
  registryDeprecate,
  registryRm,
  validateDir,
} from './opm-commands.ts';

/**
 * The engine that lets the real opm work on the whole file: right by definition, and as slow as the index is large.
 *
 * @param settings.deprecateLimit most images in one call (configuration's `deprecateLimit`)
 */
export function wholeDatabaseEngine(
  opm: Opm,
  around: OpmSurroundings,
  settings: { deprecateLimit: number },
): IndexDbEngine {
  return {
    addBundles: (db, bundles, options = {}) =>
      bundles.length === 0
        ? Promise.resolve([])
        : changing(opm, db, around, async (restore) => {
            try {
              await registryAdd(opm, db, bundles, options, around);
            } catch (first) {
              if (!mayPass(first, bundles)) throw first;
              await restore();
              // A batch's order is random in opm, so the same add may pass now; the first error is the one to tell.
              await registryAdd(opm, db, bundles, options, around).catch(() => {
                throw first;
              });
            }
          }),

    removePackages: (db, packages, options = {}) =>
      packages.length === 0
        ? Promise.resolve([])
        : changing(opm, db, around, () => registryRm(opm, db, packages, options, around)),

    deprecate: (db, images) =>
      images.length === 0
        ? Promise.resolve([])
        : changing(opm, db, around, async () => {
            const chunks = deprecationChunks(images, packageByImage(db), settings.deprecateLimit);
            for (const [index, chunk] of chunks.entries()) {
              // What an earlier call cut away would be "missing" for this one.
              const left = index === 0 ? chunk : chunk.filter((image) => packageByImage(db).has(image));
              if (left.length > 0) await registryDeprecate(opm, db, left, around);
            }
          }),

    async migrate(db, outDir, packages) {
      await migrateDb(opm, db, outDir, around);
      const wanted = packages === undefined ? undefined : new Set(packages);
      const written: string[] = [];
      for (const name of await readdir(outDir)) {
        if (wanted === undefined || wanted.has(name)) written.push(name);
        else await rm(join(outDir, name), { recursive: true });
      }
      if (written.length > 0) await validateDir(opm, outDir, around);
      return written.sort();
    },
  };
}

/** Only refusals that may come from the random order of a batch are worth a second attempt, and failures to pull. */
function mayPass(thrown: unknown, bundles: readonly string[]): boolean {
  if (!(thrown instanceof Failure)) return false;
  if (thrown.code === 'registry_unavailable') return true;
  return (
    bundles.length > 1 &&
    thrown.code === 'opm_refused' &&
    !/already exists|already added|: not found/.test(thrown.message)
  );
}

/** Runs a change with a copy at hand: the file is put back when the change fails, and the changed packages are told. */
async function changing(
  opm: Opm,
  db: string,
  around: OpmSurroundings,
  change: (restore: () => Promise<void>) => Promise<void>,
): Promise<string[]> {
  await upgradeIndexDb(opm, db, around);
  const before = fingerprints(db);
  // Beside the database: on the same file system the copies may be reflinks.
  const aside = await mkdtemp(join(dirname(db), '.before-'));
  const copy = join(aside, 'index.db');
  const clone = (from: string, to: string) => copyFile(from, to, constants.COPYFILE_FICLONE);
  const restore = async () => {
    // A journal that a killed opm left would be replayed over what we put back.
    await rm(`${db}-journal`, { force: true });
    await clone(copy, db);
  };
  try {
    await clone(db, copy);
    await change(restore).catch(async (failure: unknown) => {
      await restore();
      throw failure;
    });
    return changedPackages(before, fingerprints(db));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function packageByImage(db: string): Map<string, string> {
  return new Map(bundlesIn(db).map((bundle) => [bundle.image, bundle.package]));
}

/**
 * Cuts the images into calls of at most `limit`, a package in one call where it fits: opm wants all channel heads of a
 * package that is to go in the same call (request-handling.md §4.2).
 */
export function deprecationChunks(
  images: readonly string[],
  packageOf: ReadonlyMap<string, string>,
  limit: number,
): string[][] {
  const groups = Map.groupBy(images, (image) => packageOf.get(image) ?? image);
  const chunks: string[][] = [];
  for (const group of groups.values()) {
    const last = chunks.at(-1);
    if (last !== undefined && last.length + group.length <= limit) last.push(...group);
    else for (let from = 0; from < group.length; from += limit) chunks.push(group.slice(from, from + limit));
  }
  return chunks;
}
