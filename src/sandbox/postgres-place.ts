import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { type Ran, run } from '../process/run.ts';

/** `nobody`: Postgres refuses to run as root, and this user exists everywhere (initdb looks it up). */
const NOBODY = 65534;
const SYMLINKS = z.array(z.object({ source: z.string(), target: z.string() }));
/** In the home of a server, while its programs or its data lie elsewhere: where. */
const RECORD = 'places.json';
const Places = z.object({ programs: z.string().optional(), data: z.string().optional() });
/** pg_ctl starts the server by a shell and quotes paths with `"` alone. */
const STRANGE_TO_SHELLS = /["$`\\\n]/;
/** What a home has of a server. */
const KEPT = ['data', 'password', 'postgres.log'];
/** Milliseconds. */
const TIMEOUT = 60_000;

/** Where the programs and the data of a server lie while it runs. */
export interface ServerPlace {
  /** Has `bin`, `lib` and `share`. */
  native: string;
  /** Has `data`, `password` and `postgres.log`. */
  home: string;
  /** After the server's end: takes the data back to its home and removes what was made elsewhere. */
  leave(): Promise<void>;
}

const isRoot = () => process.getuid?.() === 0;

/** Gives a file or folder to the user that the server runs as. */
export function giveToServer(path: string): void {
  if (isRoot()) chownSync(path, NOBODY, NOBODY);
}

/** Runs a program as the server's user: `nobody` where we are root, else ourselves. */
export function runAsServer(program: string, args: string[]): Promise<Ran> {
  const options = { cwd: '/', timeout: TIMEOUT, env: { LC_ALL: 'C' } };
  if (!isRoot()) return run(program, args, options);
  const identity = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  return run('setpriv', [...identity, program, ...args], options);
}

/**
 * Finds where a server can run: `native` and `home` as they are if its user may go there, else places under the system's
 * folders for temporary files (a clone or a directory below a home of mode 0700, as root). Data is moved there and back,
 * so no folder of the caller's is opened to others. Places that a killed process left are used again.
 *
 * @param native the folder that npm installed; it is only read, except for links that are missing
 * @param home of the server, absolute
 * @throws Failure `process_failed` when the user may go nowhere; `configuration_invalid` when data that was moved is gone
 */
export async function findServerPlace(native: string, home: string): Promise<ServerPlace> {
  mkdirSync(home, { recursive: true, mode: 0o711 });
  if (isRoot()) {
    // Root's own, so that the server cannot write the record, by which we remove folders.
    chownSync(home, 0, 0);
    chmodSync(home, 0o711);
  }
  const record = join(home, RECORD);
  const places = existsSync(record) ? Places.parse(JSON.parse(readFileSync(record, 'utf8'))) : {};
  const note = (what: keyof typeof places) => (place: string | undefined) => {
    places[what] = place;
    writeFileSync(record, JSON.stringify(places), { mode: 0o600 });
  };
  if (places.data !== undefined && !existsSync(places.data)) {
    throw new Failure(
      'configuration_invalid',
      `The database of ${home} lay in ${places.data} while it ran, and is gone from there: remove the directory and start anew`,
    );
  }

  const programs = await placeOfPrograms(native, places.programs, note('programs'));
  const data = await placeOfData(home, places.data, note('data'));
  return {
    native: programs,
    home: data,
    async leave() {
      if (data !== home) await moveAll(data, home);
      for (const place of [places.programs, places.data]) {
        if (place !== undefined) rmSync(place, { recursive: true, force: true });
      }
      rmSync(record, { force: true });
    },
  };
}

type Note = (place: string | undefined) => void;

async function placeOfPrograms(native: string, before: string | undefined, note: Note): Promise<string> {
  const runs = async (dir: string) =>
    !STRANGE_TO_SHELLS.test(dir) && (await works(runAsServer(join(dir, 'bin', 'postgres'), ['--version'])));
  if (before !== undefined) {
    if (await runs(before)) return before;
    rmSync(before, { recursive: true, force: true });
    note(undefined);
  }
  if (completed(native) && (await runs(native))) return native;
  return firstPlace('programs', native, note, async (place) => {
    linkTree(native, place);
    return completed(place) && (await runs(place));
  });
}

async function placeOfData(home: string, before: string | undefined, note: Note): Promise<string> {
  const enters = async (dir: string) => !STRANGE_TO_SHELLS.test(dir) && (await works(runAsServer('test', ['-x', dir])));
  if (before === undefined && (await enters(home))) return home;
  const place = before ?? (await firstPlace('data', home, note, enters));
  await moveAll(home, place);
  return place;
}

/** Makes a folder under the first of the system's folders for temporary files in which it is of use. */
async function firstPlace(
  what: 'programs' | 'data',
  near: string,
  note: Note,
  isOfUse: (place: string) => Promise<boolean>,
): Promise<string> {
  for (const folder of temporaryFolders(near)) {
    const place = mkdtempSync(join(folder, `indexwright-postgres-${what}-`));
    // Root's own with the programs, which the server only reads, and with the data, for the reason above.
    chmodSync(place, what === 'data' ? 0o711 : 0o755);
    // Before there is anything in it: what a killed process leaves is found by the next one.
    note(place);
    if (await isOfUse(place).catch(() => false)) return place;
    rmSync(place, { recursive: true, force: true });
  }
  note(undefined);
  throw new Failure(
    'process_failed',
    `PostgreSQL's ${what} in ${near} cannot be used by the user it runs as, and no folder for temporary files can be, either: ` +
      'let TMPDIR name one that all users may enter, on a file system from which programs may be run',
  );
}

/** Those on the file system of a path come first: from there files are linked and renamed instead of copied. */
function temporaryFolders(near: string): string[] {
  const device = statSync(near).dev;
  const folders = [...new Set([resolve(tmpdir()), '/var/tmp', '/tmp', '/dev/shm'])].filter(existsSync);
  const [here, elsewhere] = [true, false].map((same) =>
    folders.filter((one) => (statSync(one).dev === device) === same),
  );
  return [...(here ?? []), ...(elsewhere ?? [])];
}

async function works(ran: Promise<Ran>): Promise<boolean> {
  return ran.then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  );
}

/** Makes the links that the package's install script makes, which may have been switched off; whether all are there. */
function completed(native: string): boolean {
  const links = SYMLINKS.parse(JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')));
  try {
    for (const { source, target } of links) {
      // Both are relative to the folder of the package, above `native`.
      const path = join(native, target.replace(/^native\//, ''));
      if (!existsSync(path)) symlinkSync(relative(dirname(target), source), path);
    }
    return true;
  } catch {
    // Installed by somebody else, or on a file system that is read-only.
    return false;
  }
}

/** The same tree with hard links, or copies where that is impossible or others may not read the file. */
function linkTree(from: string, to: string): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      mkdirSync(target);
      chmodSync(target, 0o755);
      linkTree(source, target);
    } else if (entry.isSymbolicLink()) {
      symlinkSync(relative(from, resolve(from, readlinkSync(source))), target);
    } else if (!linked(source, target)) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, 0o755);
    }
  }
}

function linked(source: string, target: string): boolean {
  const { mode } = lstatSync(source);
  const needed = (mode & 0o100) !== 0 ? 0o005 : 0o004;
  if ((mode & needed) !== needed) return false;
  try {
    linkSync(source, target);
    return true;
  } catch {
    return false;
  }
}

/** Moves a server's files. What is in both, because a process was killed while it moved it, is the same in both. */
async function moveAll(from: string, to: string): Promise<void> {
  for (const name of KEPT) {
    const [source, target] = [join(from, name), join(to, name)];
    if (existsSync(source)) await move(source, target);
  }
}

async function move(source: string, target: string): Promise<void> {
  const [partial, old] = [`${target}.partial`, `${source}.old`];
  for (const path of [target, partial, old]) rmSync(path, { recursive: true, force: true });
  try {
    renameSync(source, target);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause;
    const copied = await run('cp', ['-a', source, partial], { cwd: '/', timeout: TIMEOUT });
    if (copied.exitCode !== 0) {
      throw new Failure('process_failed', `The database could not be moved to ${target}`, { cause: copied.stderr });
    }
    renameSync(partial, target);
    // Renamed first: what is half removed is never taken for the data.
    renameSync(source, old);
    rmSync(old, { recursive: true, force: true });
  }
}
