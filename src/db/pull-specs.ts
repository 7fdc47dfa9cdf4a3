import { createHash } from 'node:crypto';
import { eq, type SQL, sql } from 'drizzle-orm';
import type { Database } from './pool.ts';
import { pullSpecs } from './schema.ts';

/** What a pull spec is found by. */
export const digestOf = (spec: string) => createHash('sha256').update(spec).digest();

/** Makes pull specs known (rest-api.md §4: filters refuse unknown ones). Sorted, so that two transactions never wait crosswise. */
export async function learnPullSpecs(tx: Database, specs: readonly string[]): Promise<void> {
  const sorted = [...new Set(specs)].sort();
  if (sorted.length === 0) return;
  await tx.execute(
    sql`insert into ${pullSpecs} (digest, spec)
      select * from unnest(${sql.param(sorted.map(digestOf))}::bytea[], ${sql.param(sorted)}::text[])
      on conflict do nothing`,
  );
}

/** Names the operator package of each pull spec, for all requests at once (rest-api.md §3.4). */
export async function assignPackages(
  tx: Database,
  mapping: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const packageOf = new Map(Object.entries(mapping).flatMap(([name, specs]) => specs.map((spec) => [spec, name])));
  const specs = [...packageOf.keys()].sort();
  if (specs.length === 0) return;
  const packages = specs.map((spec) => packageOf.get(spec));
  await tx.execute(
    sql`insert into ${pullSpecs} (digest, spec, package)
      select * from unnest(${sql.param(specs.map(digestOf))}::bytea[], ${sql.param(specs)}::text[],
        ${sql.param(packages)}::text[])
      on conflict (digest) do update set package = excluded.package`,
  );
}

/** Whether the service has seen this pull spec in any role. */
export async function isKnown(db: Database, spec: string): Promise<boolean> {
  const rows = await db
    .select({ one: sql`1` })
    .from(pullSpecs)
    .where(eq(pullSpecs.digest, digestOf(spec)))
    .limit(1);
  return rows.length > 0;
}

/** Whether the service has seen any pull spec that starts with `prefix`, compared byte for byte (rest-api.md D4). */
export async function isKnownPrefix(db: Database, prefix: string): Promise<boolean> {
  const rows = await db.select({ one: sql`1` }).from(pullSpecs).where(startsWith(pullSpecs.spec, prefix)).limit(1);
  return rows.length > 0;
}

/** Characters of a pull spec that the indexes of prefixes hold. */
const INDEXED = 512;

/** `column` starts with `prefix`: the first 512 characters by index, the rest by looking. */
export function startsWith(column: unknown, prefix: string): SQL {
  // No text with NUL is stored, and Postgres refuses to compare with one (rest-api.md D38).
  if (prefix.includes('\0')) return sql`false`;
  const indexed = sql`(left(${column}, ${sql.raw(`${INDEXED}`)}) collate "C") ^@ left(${prefix}, ${sql.raw(`${INDEXED}`)})`;
  // What always holds is left out: the planner would take it for a third of the matches, and go the wrong way (48 ms).
  return prefix.length <= INDEXED ? indexed : sql`${indexed} and starts_with(${column}, ${prefix})`;
}
