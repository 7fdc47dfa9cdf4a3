import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import { Config } from '../../src/config/schema.ts';

export interface TestConfig {
  config: Config;
  /** Private directory for the test's files. */
  dir: string;
  remove(): void;
}

/** A configuration that is enough for the API: nothing it names outside of `dir` is there. Call `remove` at the end. */
export function testConfig(databaseUrl: string, given: Partial<z.input<typeof Config>> = {}): TestConfig {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-test-'));
  writeFileSync(join(dir, 'secret-key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const config = Config.parse({
    databaseUrl,
    secretKeyFile: join(dir, 'secret-key'),
    stateDir: join(dir, 'state'),
    logLevel: 'silent',
    registry: { output: 'reg.example.com', artifactRegistry: 'reg.example.com/artifacts' },
    cluster: {
      url: 'http://127.0.0.1:9',
      namespace: 'test',
      tokenFile: join(dir, 'token'),
      caFile: join(dir, 'ca.crt'),
    },
    opm: { versions: {}, default: 'opm' },
    ...given,
  });
  return { config, dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
