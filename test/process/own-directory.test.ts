import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { ownDirectory, secretsParent, sweepDirectories } from '../../src/process/own-directory.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function parentFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), 'indexwright-own-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  return parent;
}

/** Starts a process that runs the code, which prints one line and leaves the process running. */
async function start(code: string): Promise<{ line: string; end(signal: NodeJS.Signals): Promise<void> }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${code}\nsetInterval(() => {}, 1000);`], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    line,
    async end(signal) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
  };
}

const makingIn = (parent: string) => `
  import { mkdirSync, writeFileSync } from 'node:fs';
  import { ownDirectory } from './src/process/own-directory.ts';
  process.on('SIGTERM', () => process.exit(0));
  const dir = ownDirectory(${JSON.stringify(parent)});
  mkdirSync(dir + '/delivery');
  writeFileSync(dir + '/delivery/file', 'work');
  console.log(dir);`;

test('what a killed process leaves is removed at once; what one works in, that lives, stays', async () => {
  const parent = parentFolder();
  const [killed, living] = await Promise.all([start(makingIn(parent)), start(makingIn(parent))]);
  await killed.end('SIGKILL');
  expect(existsSync(join(killed.line, 'delivery/file'))).toBe(true);
  await sweepDirectories(parent);
  expect(readdirSync(parent)).toEqual([living.line.slice(parent.length + 1)]);
  expect(existsSync(join(living.line, 'delivery/file'))).toBe(true);
  expect(statSync(living.line).mode & 0o777).toBe(0o700);
});

test('a process that ends by itself removes its own', async () => {
  const parent = parentFolder();
  const ended = await start(makingIn(parent));
  await ended.end('SIGTERM');
  expect(readdirSync(parent)).toEqual([]);
});

test('a process has one, made again when somebody has removed it', () => {
  const parent = parentFolder();
  const first = ownDirectory(parent);
  expect(ownDirectory(parent)).toBe(first);
  rmSync(parent, { recursive: true });
  expect(existsSync(ownDirectory(parent))).toBe(true);
});

test('what has no lock goes after a day; what was half removed at once', async () => {
  const parent = parentFolder();
  const own = ownDirectory(parent);
  const names = [
    'delivery-old',
    'delivery-young',
    'unlocked-old',
    'unlocked-young',
    '.new-old',
    '.new-young',
    'process-x',
  ];
  for (const name of names) {
    mkdirSync(join(parent, name));
    const longAgo = Date.now() / 1000 - 25 * 3600;
    if (name.endsWith('old')) utimesSync(join(parent, name), longAgo, longAgo);
  }
  await sweepDirectories(parent);
  const left = ['delivery-young', 'unlocked-young', '.new-young', own.slice(parent.length + 1)];
  expect(readdirSync(parent).sort()).toEqual(left.sort());
});

const opening = (user: string) => `
  import { openAuthDirectory } from './src/registry/auth.ts';
  const store = new Map([['registry.example', { kind: 'password', user: '${user}', password: 'of the client' }]]);
  console.log((await openAuthDirectory(store)).env.REGISTRY_AUTH_FILE);`;

test('credentials of a killed process are removed by the next that writes some', async () => {
  const killed = await start(opening('killed'));
  const file = killed.line;
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await killed.end('SIGKILL');
  expect(existsSync(file)).toBe(true);
  const next = await start(opening('next'));
  expect(existsSync(dirname(dirname(file)))).toBe(false);
  expect(existsSync(next.line)).toBe(true);
});

test('secrets lie in a directory that is ours alone, in memory where there is such a place', () => {
  const parent = secretsParent();
  const { uid, mode } = statSync(parent);
  expect([uid, mode & 0o777]).toEqual([process.getuid?.(), 0o700]);
  if (existsSync('/dev/shm')) expect(dirname(parent)).toBe('/dev/shm');
  const file = join(ownDirectory(parent), 'probe');
  writeFileSync(file, '');
  rmSync(file);
});
