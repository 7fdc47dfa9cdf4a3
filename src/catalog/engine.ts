import type { AddOptions } from './opm-commands.ts';

/**
 * Changes to an index.db. Callers name a database file and what they want; whether opm then works on all of it or on a
 * part is the engine's business. An operation that fails leaves the file as it was. Those that change packages give the
 * names of all packages that changed or vanished, sorted: these are the ones to migrate and merge, and they may be more
 * than the caller asked for (opm-and-index-db.md §2.1, semver modes).
 */
export interface IndexDbEngine {
  /**
   * Adds bundle images given by digest. No bundles, no work.
   *
   * @throws Failure `opm_refused`, `registry_unavailable`, `opm_crashed`, `index_db_invalid`, `process_timeout`
   */
  addBundles(db: string, bundles: readonly string[], options?: AddOptions): Promise<string[]>;

  /**
   * Removes packages. All of them must be in the database (`packagesIn`), unless missing ones are ignored.
   *
   * @throws Failure `opm_refused`, `opm_crashed`, `index_db_invalid`, `process_timeout`
   */
  removePackages(
    db: string,
    packages: readonly string[],
    options?: { missing?: 'refuse' | 'ignore' },
  ): Promise<string[]>;

  /**
   * Deprecates bundle images, cutting what lies below them. All of them must be in the database.
   *
   * @throws Failure `opm_refused`, `opm_crashed`, `index_db_invalid`, `process_timeout`
   */
  deprecate(db: string, images: readonly string[]): Promise<string[]>;

  /**
   * Writes the file-based catalog of some packages, or of all, to a new folder: `<outDir>/<package>/catalog.json`,
   * validated. A package that was asked for and has no folder afterwards is not in the database any more.
   *
   * @returns the packages written, sorted
   * @throws Failure `opm_refused`, `catalog_invalid`, `opm_crashed`, `index_db_invalid`, `process_timeout`
   */
  migrate(db: string, outDir: string, packages?: readonly string[]): Promise<string[]>;
}
