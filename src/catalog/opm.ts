import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { type Ran, run } from '../process/run.ts';
import { opmMessage } from './opm-message.ts';

/** An opm executable that is there and can work with index.db. */
export interface Opm {
  /** Executable name as build metadata has it: `opm-v1.48.0`. */
  name: string;
  /** Its version without the letter: `1.48.0`. */
  number: string;
  path: string;
  /** MiB of address space and milliseconds one call may use. */
  limits: { memory: number; timeout: number };
}

type OpmConfig = Config['opm'];

/** Name of the executable for an OCP version: the exact key of the mapping, else the default (request-handling.md §4.1). */
export function opmName(config: OpmConfig, ocpVersion: string | undefined): string {
  const mapped = ocpVersion === undefined ? undefined : Object.entries(config.versions).find(([v]) => v === ocpVersion);
  return mapped?.[1] ?? config.default;
}

/**
 * Chooses the opm for a request by the OCP version of its index and makes sure that it can do the work. Each executable
 * is asked once per process; the choice itself keeps no state between requests.
 *
 * @param of.ocpVersion label of the reference index, `v4.19`; undefined when there is no index
 * @throws Failure `opm_missing` when the executable is absent, has no readable version or cannot work with index.db
 */
export async function opmFor(of: { config: OpmConfig; ocpVersion: string | undefined }): Promise<Opm> {
  const { config } = of;
  const name = opmName(config, of.ocpVersion);
  const path = config.dir === undefined ? name : join(config.dir, name);
  const number = await examined(name, path);
  return { name, number, path, limits: { memory: config.memory, timeout: config.timeout } };
}

const examinations = new Map<string, Promise<string>>();

/** The version number of an executable, learned once; a failure is not remembered, the binary may be installed later. */
function examined(name: string, path: string): Promise<string> {
  const known = examinations.get(path);
  if (known) return known;
  const examination = examine(name, path);
  examinations.set(path, examination);
  examination.catch(() => examinations.delete(path));
  return examination;
}

const EXAMINATION = 60_000;

async function examine(name: string, path: string): Promise<string> {
  const missing = (message: string, cause?: unknown) => new Failure('opm_missing', message, { cause });
  const ask = (args: string[], cwd?: string): Promise<Ran> =>
    run(path, args, { timeout: EXAMINATION, ...(cwd === undefined ? {} : { cwd }) }).catch((cause: unknown) => {
      throw missing(`${name} is not installed here or cannot be run`, cause);
    });
  if (path !== name) {
    await access(path, constants.X_OK).catch((cause: unknown) => {
      throw missing(`${name} is not installed here or cannot be run`, cause);
    });
  }
  const number = /OpmVersion:"v([\d.]+)/.exec((await ask(['version'])).stdout)?.[1];
  if (number === undefined) throw missing('Opm version not found in the output of "OPM version" command');

  const help = await ask(['registry', '--help']);
  if (help.exitCode !== 0 || !/^ +add +\S/m.test(help.stdout) || !/^ +rm +\S/m.test(help.stdout)) {
    throw missing(`${name} has no "registry" commands for index.db; versions after v1.73.0 have lost them`);
  }
  // Only a database tells whether the binary was built with SQLite.
  const scratch = await mkdtemp(join(tmpdir(), 'opm-examined-'));
  try {
    const created = await ask(['registry', 'add', '--database', 'index.db', '--bundle-images', '""'], scratch);
    if (created.exitCode !== 0) {
      throw missing(`${name} cannot work with index.db: ${opmMessage(created.stderr, [scratch]) ?? 'no reason given'}`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return number;
}
