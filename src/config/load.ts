import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { registerSecret } from '../telemetry/secrets.ts';
import { CheckedConfig, type Config } from './schema.ts';

const PATHS = ['secretKeyFile', 'stateDir', 'catalogsDir'] as const;

/**
 * Reads the service's configuration: a YAML file, with `DATABASE_URL` and `INDEXWRIGHT_LOG_LEVEL` of the environment
 * winning over it. Relative paths in the file are relative to the file.
 *
 * @throws Failure `configuration_invalid` naming the file, each wrong key and what it should be
 */
export function loadConfig(path: string, env: Record<string, string | undefined> = process.env): Config {
  let raw: unknown;
  try {
    raw = parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Failure(
      'configuration_invalid',
      `The configuration ${path} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
  const text = z.record(z.string(), z.unknown()).safeParse(raw);
  if (!text.success) throw new Failure('configuration_invalid', `The configuration ${path} must be a YAML mapping`);
  const parsed = CheckedConfig.safeParse({
    ...text.data,
    ...(env.DATABASE_URL ? { databaseUrl: env.DATABASE_URL } : {}),
    ...(env.INDEXWRIGHT_LOG_LEVEL ? { logLevel: env.INDEXWRIGHT_LOG_LEVEL } : {}),
  });
  if (!parsed.success) {
    throw new Failure(
      'configuration_invalid',
      `The configuration ${path} is not valid:\n${z.prettifyError(parsed.error)}`,
    );
  }
  const config = parsed.data;
  const here = dirname(resolve(path));
  for (const key of PATHS) {
    const value = config[key];
    if (value !== undefined) config[key] = resolve(here, value);
  }
  registerSecret(new URL(config.databaseUrl).password);
  return config;
}
