import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const ORACLE = resolve(import.meta.dirname, '../../.tools/bin/yaml-oracle');

const Answer = z.union([z.object({ error: z.string() }), z.object({ json: z.unknown() })]);

/** `{ json }` as opm reads a text, integers that a number cannot hold as bigints, or the `error` with which it refuses it. */
export type Answer = z.infer<typeof Answer>;

/**
 * Asks the libraries of opm v1.48.0 (tools/yaml-oracle) how they read texts.
 *
 * @param what a `document`, or the first object of a file of `manifest`s
 */
export async function askOracle(what: 'document' | 'manifest', texts: readonly Buffer[]): Promise<Answer[]> {
  const oracle = spawn(ORACLE, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(oracle, 'exit');
  const answers: Answer[] = [];
  const collected = (async () => {
    for await (const line of createInterface({ input: oracle.stdout }))
      answers.push(Answer.parse(JSON.parse(line, exact)));
  })();
  for (const text of texts) {
    if (!oracle.stdin.write(`${what} ${text.toString('base64')}\n`)) await once(oracle.stdin, 'drain');
  }
  oracle.stdin.end();
  await collected;
  await exited;
  if (answers.length !== texts.length) throw new Error(`${texts.length} texts, ${answers.length} answers`);
  return answers;
}

function exact(_key: string, value: unknown, { source = '' }: { source?: string } = {}): unknown {
  return typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** A value with keys in order and numbers as their digits, to be compared. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
  }
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}
