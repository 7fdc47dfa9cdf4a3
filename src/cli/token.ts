import { loadConfig } from '../config/load.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { createToken, listTokens, revokeToken } from '../db/tokens.ts';
import { Failure } from '../errors/failure.ts';

export interface NewToken {
  user: string;
  group: string[];
  days?: string;
}

/** Makes a static API token and prints it, alone, on stdout; what it is for goes to stderr. */
export async function createTokenCommand(configFile: string, { user, group, days }: NewToken): Promise<void> {
  const life = days === undefined ? null : Number(days);
  if (life !== null && !(life > 0)) throw new Failure('configuration_invalid', '--days must be a number above 0');
  const { id, token } = await withDatabase(configFile, (db) => createToken(db, { user, groups: group }, life));
  process.stderr.write(`token ${id} for ${user}; it is shown this once\n`);
  process.stdout.write(`${token}\n`);
}

/** Ends a token. Fails `configuration_invalid` when there is none of that id. */
export async function revokeTokenCommand(configFile: string, id: string): Promise<void> {
  const revoked = /^\d{1,9}$/.test(id) && (await withDatabase(configFile, (db) => revokeToken(db, Number(id))));
  if (!revoked) throw new Failure('configuration_invalid', `There is no token ${id} that could be revoked`);
}

/** Prints all tokens, one line each; never the tokens themselves. */
export async function listTokensCommand(configFile: string): Promise<void> {
  for (const token of await withDatabase(configFile, listTokens)) {
    const { id, user, groups, createdAt, expiresAt, revokedAt } = token;
    const ends = revokedAt === null ? `expires ${expiresAt ?? 'never'}` : `revoked ${revokedAt}`;
    process.stdout.write(`${id}\t${user}\t${groups.join(',') || '-'}\tcreated ${createdAt}\t${ends}\n`);
  }
}

async function withDatabase<T>(configFile: string, work: (db: Database) => Promise<T>): Promise<T> {
  const database = openDatabase(loadConfig(configFile).databaseUrl);
  try {
    return await database.read(work);
  } finally {
    await database.close();
  }
}
