import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import semver from 'semver';
import { Failure } from '../errors/failure.ts';
import type { ErrorCode } from '../errors/policy.ts';
import { type Ran, run } from '../process/run.ts';
import type { Opm } from './opm.ts';
import { crashOf, opmMessage } from './opm-message.ts';

/** What all opm calls of one request have in common. */
export interface OpmSurroundings {
  /** Folder for working directories; the system's temporary folder when absent. */
  scratch?: string;
  /** Credentials: `DOCKER_CONFIG` and `REGISTRY_AUTH_FILE`, both of a private directory (opm-and-index-db.md §5.1). */
  env?: Record<string, string>;
  /** How registries of bundles are spoken to; TLS when absent. */
  transport?: 'tls' | 'plain-http';
  signal?: AbortSignal;
}

export type GraphMode = 'replaces' | 'semver' | 'semver-skippatch';

export interface AddOptions {
  /** How the update graph is made; opm's own default is `replaces`. */
  mode?: GraphMode;
  /** Lets a bundle take the place of the head of its channels that has the same CSV name. */
  overwriteLatest?: boolean;
}

/**
 * `opm registry add`. Without bundles it only brings the schema up to date. The file may be left half changed on
 * failure. Exact arguments and texts of all commands here: request-handling.md §4.2.
 *
 * @throws Failure `opm_refused`, `registry_unavailable` when a bundle could not be pulled for a passing reason,
 *   `opm_crashed`, `process_timeout`
 */
export async function registryAdd(
  opm: Opm,
  db: string,
  bundles: readonly string[],
  options: AddOptions,
  around: OpmSurroundings,
): Promise<void> {
  await command(opm, around, {
    args: [
      ...['registry', 'add', '--database', resolve(db), '--enable-alpha'],
      // opm wants a value; these two characters are the way to say "none".
      ...['--bundle-images', bundles.length === 0 ? '""' : bundles.join(',')],
      ...(options.mode === undefined ? [] : ['--mode', options.mode]),
      ...(options.overwriteLatest === true ? ['--overwrite-latest'] : []),
      ...(around.transport === 'plain-http' ? ['--use-http'] : []),
    ],
    paths: [db],
    failed: 'Failed to add the bundles to the index image',
  });
}

/**
 * `opm registry rm`. Not atomic: packages named before the one that fails are gone.
 *
 * @param options.missing `ignore` turns failures of single packages into warnings
 * @throws Failure `opm_refused`, `opm_crashed`, `process_timeout`
 */
export async function registryRm(
  opm: Opm,
  db: string,
  packages: readonly string[],
  options: { missing?: 'refuse' | 'ignore' },
  around: OpmSurroundings,
): Promise<void> {
  await command(opm, around, {
    args: [
      ...['registry', 'rm', '--database', resolve(db), '--packages', packages.join(',')],
      ...(options.missing === 'ignore' ? ['--permissive'] : []),
    ],
    paths: [db],
    failed: 'Failed to remove operators from the index image',
    instead: (message) =>
      /^error deleting packages from database/i.test(message) ? 'Error deleting packages from database' : undefined,
  });
}

/**
 * `opm registry deprecatetruncate`. All images must be in the database. Not atomic.
 *
 * @throws Failure `opm_refused`, `opm_crashed`, `process_timeout`
 */
export async function registryDeprecate(
  opm: Opm,
  db: string,
  images: readonly string[],
  around: OpmSurroundings,
): Promise<void> {
  await command(opm, around, {
    args: [
      ...['registry', 'deprecatetruncate', '--database', resolve(db)],
      ...['--bundle-images', images.join(','), '--allow-package-removal'],
    ],
    paths: [db],
    failed: `Failed to deprecate the bundles on ${basename(db)}`,
  });
}

/** Newer ones write the old property form unless told otherwise (opm-and-index-db.md §2.4). */
const NEW_MIGRATE = '1.46.0';

/**
 * `opm migrate`: writes `<out>/<package>/catalog.json` for every package of the database. What `out` held is removed.
 *
 * @throws Failure `opm_refused`, `opm_crashed`, `process_timeout`
 */
export async function migrateDb(opm: Opm, db: string, out: string, around: OpmSurroundings): Promise<void> {
  const level = semver.gt(opm.number, NEW_MIGRATE) ? ['--migrate-level', 'bundle-object-to-csv-metadata'] : [];
  await rm(out, { recursive: true, force: true });
  await command(opm, around, {
    args: ['migrate', ...level, resolve(db), resolve(out)],
    paths: [db, out],
    failed: 'Failed to migrate index.db to file-based catalog',
  });
}

/**
 * `opm validate` of a folder of packages.
 *
 * @throws Failure `catalog_invalid` with opm's findings, `opm_crashed`, `process_timeout`
 */
export async function validateDir(opm: Opm, dir: string, around: OpmSurroundings): Promise<void> {
  await command(opm, around, {
    args: ['validate', resolve(dir)],
    paths: [dir],
    failed: `Failed to validate the content from config_dir ${basename(dir)}`,
    code: 'catalog_invalid',
    pulls: false,
  });
}

/**
 * `opm render`: the file-based catalog, as concatenated JSON documents, of a database, a folder or an image.
 *
 * @throws Failure `opm_refused`, `opm_crashed`, `process_timeout`
 */
export async function render(opm: Opm, input: string, around: OpmSurroundings): Promise<string> {
  const image = !input.startsWith('/');
  const { stdout } = await command(opm, around, {
    args: ['render', input, ...(image && around.transport === 'plain-http' ? ['--use-http'] : [])],
    paths: image ? [] : [input],
    failed: `Failed to run opm render with input: ${image ? input : basename(input)}`,
  });
  return stdout;
}

/**
 * `opm render` of a folder of catalog files, as concatenated JSON documents, into a file: these may be too many to pass
 * through this process. It asks no registry for anything.
 *
 * @param output a path that nothing is at
 * @throws Failure `opm_refused` with nothing but opm's word, `opm_crashed`, `process_timeout`
 */
export async function renderTo(opm: Opm, dir: string, output: string, around: OpmSurroundings): Promise<void> {
  await command(opm, around, {
    args: ['render', resolve(dir)],
    paths: [dir, output],
    output,
    pulls: false,
    failed: `${opm.name} cannot read it`,
    instead: (message) => message.replace(/^render reference "[^"]*": /, ''),
  });
}

interface Command {
  args: readonly string[];
  /** Local paths among the arguments, kept out of texts. */
  paths: readonly string[];
  failed: string;
  code?: ErrorCode;
  /** Whether it may ask a registry, so that a failure may pass; as a rule it may. */
  pulls?: boolean;
  /** Where opm's output goes instead of to us. */
  output?: string;
  /** A sentence that takes the place of the usual one, chosen by opm's message. */
  instead?: (message: string) => string | undefined;
}

/** For a shell: the program and its arguments, its output into a new file. */
const INTO_FILE = 'set -C; exec "$0" "$@" >"$OUTPUT"';

async function command(
  opm: Opm,
  around: OpmSurroundings,
  { args, paths, failed, code, instead, output, pulls = true }: Command,
): Promise<Ran> {
  // opm writes ./cache and ./bundle_tmp*: two adds in one directory break each other.
  const cwd = await mkdtemp(join(around.scratch ?? tmpdir(), 'opm-'));
  try {
    const [program, ...argv] = output === undefined ? [opm.path, ...args] : ['sh', '-c', INTO_FILE, opm.path, ...args];
    const ran = await run(program, argv, {
      cwd,
      timeout: opm.limits.timeout,
      memory: opm.limits.memory,
      // What opm leaves behind goes with the directory.
      env: { ...around.env, TMPDIR: cwd, ...(output === undefined ? {} : { OUTPUT: resolve(output) }) },
      ...(around.signal === undefined ? {} : { signal: around.signal }),
    }).catch((cause: unknown) => {
      if (cause instanceof Failure && cause.code === 'process_failed') {
        throw new Failure('opm_crashed', `${failed}: ${opm.name} was ended by the system`, { cause });
      }
      throw cause;
    });
    if (ran.exitCode === 0) return ran;
    const message = opmMessage(ran.stderr, [cwd, ...paths.map((path) => resolve(path)), ...paths]);
    const sentence = (message && instead?.(message)) ?? (message ? `${failed.replace(/\.$/, '')}: ${message}` : failed);
    throw new Failure(codeOf(ran, pulls ? (message ?? '') : '', code ?? 'opm_refused'), sentence, {
      cause: `${opm.name} exit code ${ran.exitCode}: ${message ?? ran.stderr.slice(-2000)}`,
    });
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}

/** Exit code 2 of a Go crash must not be taken for `registry add`'s "bundle already present". */
function codeOf(ran: Ran, message: string, refused: ErrorCode): ErrorCode {
  if (crashOf(ran.stderr) !== undefined || ran.exitCode > 128) return 'opm_crashed';
  return couldNotPull(message) ? 'registry_unavailable' : refused;
}

/** A pull failure that may pass; a registry that knows its answer (not found, not allowed) does not count. */
function couldNotPull(message: string): boolean {
  const answered = /not found|unauthorized|forbidden|denied|unexpected status.*\b40[0134]\b/i;
  const unreachable =
    /error resolving (?:name|remote name)|failed to (?:do request|copy|fetch)|connection re(?:fused|set)|i\/o timeout|TLS handshake timeout|unexpected EOF|unexpected status.*\b(?:5\d\d|429)\b/i;
  // opm adds this to every pull failure, whatever the reason.
  const reasons = message.replace(/image "[^"]*": not found/g, '');
  return unreachable.test(reasons) && !answered.test(reasons);
}
