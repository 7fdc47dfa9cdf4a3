import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { OPM_DIR } from './world.ts';

const Answer = z.union([
  z.strictObject({ documents: z.array(z.record(z.string(), z.unknown())).default([]) }),
  z.strictObject({ error: z.string() }),
]);
export type OracleAnswer = z.infer<typeof Answer>;

/** What opm's own library makes of catalog folders (`tools/catalog-oracle`): all documents whole, or why it refuses. */
export async function oracleOf(dirs: readonly string[]): Promise<OracleAnswer[]> {
  const stdout = await new Promise<string>((resolve, reject) => {
    const options = { maxBuffer: 1024 ** 3 };
    const child = execFile(join(OPM_DIR, 'catalog-oracle'), [], options, (error, text) =>
      error === null ? resolve(text) : reject(error),
    );
    child.stdin?.end(dirs.map((dir) => `${dir}\n`).join(''));
  });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => Answer.parse(JSON.parse(line)));
}

/** Documents as sets of fields and values: comparable whatever the order of files, documents and keys. */
export function comparable(documents: readonly unknown[]): string[] {
  return documents.map((document) => JSON.stringify(sorted(document))).sort();
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, sorted(item)]);
}
