import { createHash, createHmac } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { Failure } from '../errors/failure.ts';
import type { Database } from './pool.ts';
import { idempotencyKeys } from './schema.ts';
import type { SealingKey } from './secrets.ts';

/** A POST that must not happen twice. */
export interface Once {
  digest: Buffer;
  fingerprint: Buffer;
}

/** What tells a POST with an `Idempotency-Key` from others. @param content route and body; may hold tokens */
export function onceOf(sealingKey: SealingKey, user: string | null, key: string, content: string): Once {
  return {
    digest: createHash('sha256')
      .update(JSON.stringify([user, key]))
      .digest(),
    fingerprint: createHmac('sha256', sealingKey).update(content).digest(),
  };
}

/**
 * Takes the key for this transaction; whoever comes with the same key meanwhile waits for its end.
 *
 * @returns the first answer when there has been one, else null: the caller makes it and hands it to `keepAnswer`
 * @throws Failure `idempotency_conflict` when the key was used for something else
 */
export async function claimOnce(tx: Database, { digest, fingerprint }: Once, hours: number): Promise<string | null> {
  await tx.execute(sql`delete from ${idempotencyKeys} where digest in (
    select digest from ${idempotencyKeys} where expires_at < now() limit 100 for update skip locked)`);
  const claimed = await tx
    .insert(idempotencyKeys)
    .values({ digest, fingerprint, expiresAt: sql`now() + make_interval(secs => ${hours * 3600})` })
    .onConflictDoNothing()
    .returning({ digest: idempotencyKeys.digest });
  if (claimed.length > 0) return null;
  const [known] = await tx.select().from(idempotencyKeys).where(eq(idempotencyKeys.digest, digest));
  if (known === undefined || !known.fingerprint.equals(fingerprint)) {
    throw new Failure('idempotency_conflict', 'The "Idempotency-Key" was used for another request');
  }
  return known.answer;
}

/** Keeps the answer of the transaction that took the key. */
export async function keepAnswer(tx: Database, { digest }: Once, answer: string): Promise<void> {
  await tx.update(idempotencyKeys).set({ answer }).where(eq(idempotencyKeys.digest, digest));
}
