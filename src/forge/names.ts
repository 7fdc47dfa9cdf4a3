import { Failure } from '../errors/failure.ts';

const PACKAGE_NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;
const BRANCH_NAME = /^[A-Za-z0-9][A-Za-z0-9._/+-]*$/;
const OBJECT_ID = /^[0-9a-f]{40}$/;

/**
 * Passes a package name that may become a folder name; a name is one path segment (request-handling.md §10.9, H18).
 *
 * @throws Failure `package_name_unsafe`
 */
export function assertPackageName(name: string): string {
  if (!PACKAGE_NAME.test(name) || name.includes('..')) {
    throw new Failure('package_name_unsafe', `The package name ${JSON.stringify(name)} is not valid`);
  }
  return name;
}

/**
 * Passes a path relative to the root of a repository, `/` between its segments, that cannot leave it nor enter `.git`.
 *
 * @throws Failure `package_name_unsafe`
 */
export function assertRepositoryPath(path: string): string {
  const unsafe = path
    .split('/')
    .some((segment) => segment === '' || segment === '.' || segment === '..' || /^\.git$/i.test(segment));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (unsafe || /[\\\x00-\x1f\x7f]/.test(path)) {
    throw new Failure('package_name_unsafe', `The path ${JSON.stringify(path)} is not valid in a catalog repository`);
  }
  return path;
}

/**
 * Passes a branch name that git and a URL take as it is and that cannot be read as an option.
 *
 * @throws Failure `branch_missing`: no such branch can exist
 */
export function assertBranchName(name: string): string {
  if (!BRANCH_NAME.test(name) || /\.\.|\/\/|\/\.|\.$|\/$|\.lock(\/|$)/.test(name)) {
    throw new Failure('branch_missing', `${JSON.stringify(name)} is not a branch name`);
  }
  return name;
}

/** Whether the text is a full SHA-1 object id. */
export function isObjectId(text: string): boolean {
  return OBJECT_ID.test(text);
}

/**
 * Name of the branch a request's change is pushed to (request-handling.md §5). The environment selects the Konflux
 * tenant through a Pipelines-as-Code expression on this name.
 */
export function sourceBranch(from: { environment?: string | undefined; request: number; branch: string }): string {
  const request = `request-${from.request}-${assertBranchName(from.branch)}`;
  return from.environment === undefined ? `iib-${request}` : `iib-${from.environment}-${request}`;
}
