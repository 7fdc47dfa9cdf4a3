import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Command, startHere } from '../../src/process/child.ts';
import { launcherPid, startBeside } from '../../src/process/launcher.ts';
import { childEnvironment } from '../../src/process/run.ts';
import { isAlive } from '../support/alive.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'indexwright-launcher-'));
});
afterAll(() => rmSync(cwd, { recursive: true }));

/** A number of seconds that no other `sleep` of the machine sleeps. */
const marker = () => `${700_000 + Math.floor(Math.random() * 100_000)}.${process.pid}`;
const sleeps = (seconds: string) => spawnSync('pgrep', ['-f', `^sleep ${seconds}`]).status === 0;

describe.each([
  ['a child of this process', startHere],
  ['a child of the process beside it', startBeside],
] as const)('%s', (_, start) => {
  const command = (file: string, args: string[], more: Partial<Command> = {}): Command => ({
    file,
    args,
    cwd,
    env: childEnvironment(),
    ...more,
  });
  const shell = (script: string, more: Partial<Command> = {}) => start(command('sh', ['-c', script], more));

  test('gets directory, environment and input, and gives output and exit code', async () => {
    const env = childEnvironment({ GIVEN: 'a value' });
    const child = shell('pwd; echo "$GIVEN"; cat; echo trouble >&2; exit 7', { env, input: 'typed' });
    const { stdout, stderr, ...end } = await child.ended;
    expect(end).toEqual({ exitCode: 7, signal: null });
    expect(stdout.toString()).toBe(`${cwd}\na value\ntyped`);
    expect(stderr.toString()).toBe('trouble\n');
  });

  test('may write bytes that are no text, and many of them', async () => {
    const size = 8 * 1024 * 1024;
    const { stdout } = await shell(`head -c ${size} /dev/zero | tr '\\0' '\\377'`).ended;
    expect(stdout.length).toBe(size);
    expect(stdout.every((byte) => byte === 0xff)).toBe(true);
  });

  test('need not read what it is given', async () => {
    const { exitCode } = await shell('exit 3', { input: Buffer.alloc(4 * 1024 * 1024) }).ended;
    expect(exitCode).toBe(3);
  });

  test('tells which signal has ended it', async () => {
    expect(await shell('kill -TERM $$').ended).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
  });

  test('is killed with all it has started', async () => {
    const seconds = marker();
    const child = shell(`sleep ${seconds} & sleep ${seconds}`);
    await expect.poll(() => sleeps(seconds)).toBe(true);
    child.kill();
    expect(await child.ended).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    expect(sleeps(seconds)).toBe(false);
    child.kill();
  });

  test('may be one of many at a time', async () => {
    const codes = Array.from({ length: 40 }, (_, index) => index);
    const ends = await Promise.all(codes.map((code) => shell(`exit ${code}`).ended));
    expect(ends.map(({ exitCode }) => exitCode)).toEqual(codes);
  });

  test.for([
    ['a program that is not there', command('no-such-program', []), 'ENOENT'],
    ['a directory that is not there', command('true', [], { cwd: '/no/such/directory' }), 'ENOENT'],
    ['an argument that no program can be given', command('true', ['a\0b']), 'ERR_INVALID_ARG_VALUE'],
    ['more arguments than there is room for', command('true', ['a'.repeat(4 * 1024 * 1024)]), 'E2BIG'],
  ] as const)('cannot be started: %s', async ([, unstartable, error]) => {
    expect(await start({ ...unstartable, cwd: unstartable.cwd ?? cwd }).ended).toMatchObject({ error });
    expect(await shell('exit 0').ended).toMatchObject({ exitCode: 0 });
  });
});

describe('the process beside', () => {
  const ours = resolve(import.meta.dirname, '../../src/process');
  const sleeping = (seconds: string) => ({ file: 'sleep', args: [seconds], cwd, env: childEnvironment() });

  /** A program with a child of the process beside it that sleeps so long. */
  const parentOf = (seconds: string) => {
    const script = `
      const { startBeside, launcherPid } = await import(${JSON.stringify(join(ours, 'launcher.ts'))});
      const { childEnvironment } = await import(${JSON.stringify(join(ours, 'run.ts'))});
      const child = startBeside({ file: 'sh', args: ['-c', 'sleep ${seconds} & wait'], cwd: '/', env: childEnvironment() });
      console.log(launcherPid());
      process.on('SIGINT', () => console.log('asked to stop'));
      console.log((await child.ended).exitCode);`;
    return spawn(process.execPath, ['--input-type=module', '-e', script], { detached: true });
  };

  test('ends with a parent that is killed, and what its children have started ends too', async () => {
    const seconds = marker();
    const parent = parentOf(seconds);
    const [told] = await once(parent.stdout, 'data');
    await expect.poll(() => sleeps(seconds)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => sleeps(seconds)).toBe(false);
    await expect.poll(() => isAlive(Number(told))).toBe(false);
  });

  test('goes on when the parent is interrupted from the terminal', async () => {
    const seconds = marker();
    const parent = parentOf(seconds);
    let said = '';
    parent.stdout.on('data', (chunk) => {
      said += chunk;
    });
    await expect.poll(() => sleeps(seconds)).toBe(true);
    // As Ctrl-C does: all of the process group.
    process.kill(-(parent.pid as number), 'SIGINT');
    await expect.poll(() => said).toContain('asked to stop');
    expect(sleeps(seconds)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => sleeps(seconds)).toBe(false);
  });

  test('does not keep alive a parent that has nothing more to wait for', async () => {
    const parent = parentOf('0.1');
    expect(await once(parent, 'exit')).toEqual([0, null]);
  });

  test('is replaced when it is killed; its children have been killed then', async () => {
    const child = startBeside(sleeping(marker()));
    const first = launcherPid() as number;
    process.kill(first, 'SIGKILL');
    expect(await child.ended).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    expect(await startBeside(sleeping('0')).ended).toMatchObject({ exitCode: 0 });
    expect(launcherPid()).not.toBe(first);
  });
});
