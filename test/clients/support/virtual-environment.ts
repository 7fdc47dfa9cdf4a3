import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const SCRIPT = resolve(import.meta.dirname, '../../../scripts/python-clients.sh');
/** Our own Python. */
export const MODULES = join(import.meta.dirname, 'python');

/**
 * Where these clients are installed, and why they are not, or false when they are.
 *
 * @throws in CI, when they are not
 */
export function pythonClients(which: 'iib' | 'gitlab' | 'hooks'): { venv: string; missing: string | false } {
  const prepared = spawnSync(SCRIPT, [which], { encoding: 'utf8' });
  if (prepared.status === 0) return { venv: prepared.stdout.trim(), missing: false };
  const missing = prepared.stderr.trim().split('\n').at(-1) || 'python-clients.sh failed';
  if (process.env.CI === 'true') throw new Error(missing);
  return { venv: '', missing };
}

/** A program that answers each line with one of JSON; asked one question at a time. */
export function answering(child: ChildProcess & { stdin: Writable; stdout: Readable }) {
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  return {
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
    ask(line: string): Promise<any> {
      const answered = turn.then(async () => {
        child.stdin.write(`${line}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error('the Python program has ended');
        return JSON.parse(value);
      });
      turn = answered;
      return answered;
    },
    async close(): Promise<void> {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
