import { spawn, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/errors/failure.ts';
import { childEnvironment, run } from '../../src/process/run.ts';
import { isAlive } from '../support/alive.ts';

const second = 1000;
const codeOf = async (work: Promise<unknown>) => {
  const thrown = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return thrown instanceof Failure ? thrown.code : thrown;
};

describe('run', () => {
  test('gives exit code and output, and does not take a non-zero exit for an error', async () => {
    const ran = await run('sh', ['-c', 'echo out; echo err >&2; exit 3'], { timeout: 10 * second });
    expect(ran).toEqual({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  test('hands input over', async () => {
    expect((await run('cat', [], { timeout: 10 * second, input: 'given' })).stdout).toBe('given');
  });

  test('at the timeout ends the child and what the child has started', async () => {
    const marker = `${7_000_000 + Math.floor(Math.random() * 1_000_000)}`;
    const script = `sleep ${marker} & echo $!; wait`;
    expect(await codeOf(run('sh', ['-c', script], { timeout: 300 }))).toBe('process_timeout');
    const { stdout } = await run('sh', ['-c', `pgrep -f "^sleep ${marker}" || true`], { timeout: 10 * second });
    expect(stdout).toBe('');
  });

  test('ends with its reason when aborted', async () => {
    const controller = new AbortController();
    const running = run('sleep', ['60'], { timeout: 60 * second, signal: controller.signal });
    controller.abort(new Error('stopping'));
    await expect(running).rejects.toThrow('stopping');
  });

  test('a program that is not there is a failure that names it, and not its arguments', async () => {
    const failed = run('no-such-program', ['--token', 'secret'], { timeout: second });
    await expect(failed).rejects.toThrow('no-such-program could not be started');
    await expect(failed).rejects.not.toThrow('secret');
  });

  test('a child that wants too much memory dies, and alone', async () => {
    const hungry = 'const a = []; for (;;) a.push(Buffer.alloc(64 * 1024 * 1024, 1));';
    const ran = run(process.execPath, ['-e', hungry], { timeout: 30 * second, memory: 2048 });
    const end = await ran.then(
      ({ exitCode }) => exitCode,
      (failure: unknown) => (failure as Failure).code,
    );
    expect(end).not.toBe(0);
    expect(isAlive(process.pid)).toBe(true);
  });

  test('a child does not outlive a process that is killed', async () => {
    const module = JSON.stringify(resolve(import.meta.dirname, '../../src/process/run.ts'));
    const marker = `${700_000 + Math.floor(Math.random() * 100_000)}`;
    const script = `
      const { run } = await import(${module});
      run('sleep', ['${marker}'], { timeout: 600_000 });
      process.stdin.resume();`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script]);
    const sleeping = () => spawnSync('pgrep', ['-f', `^sleep ${marker}`]).status === 0;
    await expect.poll(sleeping, { timeout: 20 * second }).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(sleeping, { timeout: 20 * second }).toBe(false);
  });

  test('children see little of our environment', async () => {
    process.env.INDEXWRIGHT_TEST_SECRET = 'do not pass on';
    try {
      const { stdout } = await run('env', [], { timeout: 10 * second, env: { GIVEN: 'yes' } });
      expect(stdout).toContain('GIVEN=yes');
      expect(stdout).toContain('PATH=');
      expect(stdout).not.toContain('INDEXWRIGHT_TEST_SECRET');
      expect(childEnvironment()).not.toHaveProperty('INDEXWRIGHT_TEST_SECRET');
    } finally {
      delete process.env.INDEXWRIGHT_TEST_SECRET;
    }
  });
});
