import { Failure } from '../errors/failure.ts';

const SAFE = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;

/** Folder beside the packages' folders that holds deprecations, one folder per package. */
export const DEPRECATIONS = '_operator-deprecations-content';

/** Whether a package name may be used as a folder name below `configs/` (request-handling.md §10.9). */
export function isPackageName(name: string): boolean {
  return name.length <= 253 && SAFE.test(name) && !name.includes('..');
}

/**
 * Lets through only names that are one harmless path segment.
 *
 * @throws Failure `package_name_unsafe`
 */
export function assertPackageName(name: string): void {
  if (!isPackageName(name)) {
    throw new Failure('package_name_unsafe', `${JSON.stringify(name.slice(0, 253))} is not a valid package name`);
  }
}
