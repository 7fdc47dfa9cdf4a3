import { createHash, randomBytes } from 'node:crypto';
import { and, asc, eq, gt, isNull, or, sql } from 'drizzle-orm';
import type { Database } from './pool.ts';
import { apiTokens } from './schema.ts';

/** How static tokens begin: tells them from those of an OIDC provider, and lets scanners of secrets find them. */
export const TOKEN_PREFIX = 'iwt_';

export interface TokenHolder {
  user: string;
  groups: string[];
}

export interface StoredToken extends TokenHolder {
  id: number;
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
}

const digestOf = (token: string) => createHash('sha256').update(token).digest();

/** Makes a token. @param days until it expires; never when null @returns the token, which is kept nowhere else */
export async function createToken(
  db: Database,
  { user, groups }: TokenHolder,
  days: number | null,
): Promise<{ id: number; token: string }> {
  const token = TOKEN_PREFIX + randomBytes(32).toString('base64url');
  const expiresAt = days === null ? null : sql`now() + make_interval(secs => ${days * 86_400})`;
  const [row] = await db
    .insert(apiTokens)
    .values({ digest: digestOf(token), user, groups, expiresAt })
    .returning({ id: apiTokens.id });
  return { id: row!.id, token };
}

/** Who shows this token; null when it is not known, expired or revoked. */
export async function holderOf(db: Database, token: string): Promise<TokenHolder | null> {
  const [row] = await db
    .select({ user: apiTokens.user, groups: apiTokens.groups })
    .from(apiTokens)
    .where(
      and(
        eq(apiTokens.digest, digestOf(token)),
        isNull(apiTokens.revokedAt),
        or(isNull(apiTokens.expiresAt), gt(apiTokens.expiresAt, sql`now()`)),
      ),
    );
  return row ?? null;
}

/** Ends a token at once. @returns false when there is none of that id that still holds */
export async function revokeToken(db: Database, id: number): Promise<boolean> {
  const rows = await db
    .update(apiTokens)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(apiTokens.id, id), isNull(apiTokens.revokedAt)))
    .returning({ id: apiTokens.id });
  return rows.length > 0;
}

/** All tokens ever made, oldest first; never the tokens themselves. */
export async function listTokens(db: Database): Promise<StoredToken[]> {
  const { id, user, groups, createdAt, expiresAt, revokedAt } = apiTokens;
  return db.select({ id, user, groups, createdAt, expiresAt, revokedAt }).from(apiTokens).orderBy(asc(id));
}
