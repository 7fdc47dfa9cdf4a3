import { readFileSync } from 'node:fs';
import { Failure } from '../errors/failure.ts';
import { registerSecret } from '../telemetry/secrets.ts';

/**
 * A token or password from a file, surrounding blanks dropped; masked in all logs from now on. Read at each use, so a
 * renewed secret is taken up without a restart.
 *
 * @throws Failure `configuration_invalid` naming the file and what it is for
 */
export function readSecretFile(path: string, purpose: string): string {
  let secret: string;
  try {
    secret = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new Failure('configuration_invalid', `The file with ${purpose} cannot be read: ${path}`, { cause });
  }
  if (secret === '') throw new Failure('configuration_invalid', `The file with ${purpose} is empty: ${path}`);
  registerSecret(secret);
  return secret;
}
