import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { registerRequestSecret, registerSecret } from '../telemetry/secrets.ts';
import type { Database } from './pool.ts';
import { requestSecrets } from './schema.ts';

/** The payload values that are never stored in clear, shown or logged (rest-api.md §11). */
export const Secrets = z
  .strictObject({
    overwrite_from_index_token: z.string(),
    overwrite_target_index_token: z.string(),
    registry_auths: z.strictObject({ auths: z.record(z.string(), z.strictObject({ auth: z.string() })) }),
  })
  .partial();
export type Secrets = z.infer<typeof Secrets>;

/** The key that seals tokens while their request waits; 32 bytes. */
export type SealingKey = Buffer & { readonly __brand: 'SealingKey' };

const NONCE = 12;
const TAG = 16;

/**
 * Reads the key: 32 bytes in base64.
 *
 * @throws Failure `configuration_invalid` when the file is missing or holds something else
 */
export function readSealingKey(file: string): SealingKey {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new Failure('configuration_invalid', 'The file named by secretKeyFile cannot be read', { cause });
  }
  const key = Buffer.from(text, 'base64');
  if (key.length !== 32) throw new Failure('configuration_invalid', 'secretKeyFile must hold 32 bytes in base64');
  registerSecret(text);
  return key as SealingKey;
}

export const hasSecrets = (secrets: Secrets): boolean => Object.keys(secrets).length > 0;

/**
 * A request's secrets under AES-256-GCM; the request's id is bound in, so rows cannot be swapped. Null when there are none.
 *
 * @throws Failure `request_invalid` when they are longer or more than any client needs
 */
export function sealSecrets(key: SealingKey, requestId: number, secrets: Secrets): Buffer | null {
  if (!hasSecrets(secrets)) return null;
  remember(secrets);
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(`request ${requestId}`));
  const text = Buffer.concat([cipher.update(JSON.stringify(Secrets.parse(secrets))), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/**
 * The secrets of a request; `{}` when it has none or they were forgotten. Their values are masked in the scope (`inSecretScope`) of the caller.
 *
 * @throws Failure `configuration_invalid` when they were sealed with another key
 */
export async function openSecrets(db: Database, key: SealingKey, requestId: number): Promise<Secrets> {
  const [row] = await db.select().from(requestSecrets).where(eq(requestSecrets.requestId, requestId));
  if (!row) return {};
  const tag = row.sealed.subarray(NONCE, NONCE + TAG);
  const decipher = createDecipheriv('aes-256-gcm', key, row.sealed.subarray(0, NONCE))
    .setAAD(Buffer.from(`request ${requestId}`))
    .setAuthTag(tag);
  let text: string;
  try {
    text = Buffer.concat([decipher.update(row.sealed.subarray(NONCE + TAG)), decipher.final()]).toString();
  } catch (cause) {
    throw new Failure('configuration_invalid', 'The tokens of the request were sealed with another key', { cause });
  }
  const secrets = Secrets.parse(JSON.parse(text));
  remember(secrets);
  return secrets;
}

/**
 * Removes the secrets of a request that has failed while others of its delivery go on; no-op when there are none. All
 * others go by themselves with the end of their request or its delivery (migrations/0010_secrets-end.sql).
 */
export async function forgetSecrets(tx: Database, requestId: number): Promise<void> {
  await tx.delete(requestSecrets).where(eq(requestSecrets.requestId, requestId));
}

function remember({ registry_auths, ...tokens }: Secrets): void {
  for (const token of Object.values(tokens)) if (token !== undefined) registerRequestSecret(token);
  for (const { auth } of Object.values(registry_auths?.auths ?? {})) {
    registerRequestSecret(auth);
    registerRequestSecret(Buffer.from(auth, 'base64').toString('utf8'));
  }
}
