import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { serveApi } from '../../src/api/server.ts';
import type { Config } from '../../src/config/schema.ts';
import { migrate } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { administer } from '../../src/sandbox/postgres.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { testConfig } from './config.ts';
import { watchAnswers } from './description.ts';

/** The kit that holds the recorded answers; not part of the project. */
export const KIT = join(
  process.env.INDEXWRIGHT_SHARED ?? resolve(import.meta.dirname, '../../../shared'),
  'conformance',
);

export const kitIsThere = (): boolean => existsSync(join(KIT, 'run.mjs'));

export type Profile = 'main' | 'open' | 'expired';
export const PROFILES: readonly Profile[] = ['main', 'open', 'expired'];

export interface Result {
  /** What the runner printed: a line per failed step and its sum. */
  output: string;
  passed: number;
  failed: number;
  /** Answers that are not as the OpenAPI description says. */
  contradictions: string[];
}

/** Serves the API as the profile wants it on a new database and replays the recorded scenarios against it. */
export async function runConformance(
  postgresUrl: string,
  profile: Profile,
  scenarios: string = join(KIT, 'scenarios'),
): Promise<Result> {
  const name = `conformance_${randomBytes(6).toString('hex')}`;
  const url = postgresUrl.replace(/\/postgres$/, `/${name}`);
  await administer(postgresUrl, `create database ${name}`);
  const database = openDatabase(url);
  const test = testConfig(url);
  try {
    await migrate(url);
    const { api, ...rest } = settings(profile, test.dir);
    const config: Config = { ...test.config, ...rest, api: { ...test.config.api, ...api } };
    const { around, contradictions } = watchAnswers();
    const server = await serveApi({ config, database, log: createLog('error', 'api') }, around);
    try {
      const output = await replay(server.url, profile, test.dir, scenarios);
      const [, passed, failed] = /(\d+) passed, (\d+) failed\s*$/.exec(output) ?? [];
      if (passed === undefined || failed === undefined) throw new Error(`the runner failed:\n${output}`);
      return { output, passed: Number(passed), failed: Number(failed), contradictions: await contradictions() };
    } finally {
      await server.close();
    }
  } finally {
    await database.close();
    test.remove();
    await administer(postgresUrl, `drop database ${name} with (force)`);
  }
}

/** service.yaml of the kit in our configuration's words. */
function settings(profile: Profile, dir: string) {
  const directory = (name: string) => join(dir, name);
  const api: Partial<z.infer<typeof Config>['api']> = {
    host: '127.0.0.1',
    port: 0,
    workerUsers: ['worker@EXAMPLE.COM', 'worker-two@EXAMPLE.COM'],
    maxPerPage: profile === 'open' ? 5 : 50,
    loginDisabled: profile === 'open',
    graphModeOptions: profile === 'open' ? ['replaces', "it's"] : ['replaces', 'semver', 'semver-skippatch'],
    graphModeIndexAllowList:
      profile === 'open' ? [] : ['reg.example.com/graph/index', 'reg.example.com/graph/exact:v4.16'],
  };
  const nestedBundlesDir = directory('nested_bundles');
  const storage: Config['storage'] =
    profile === 'open'
      ? { nestedBundlesDir, daysToLive: 3 }
      : {
          logsDir: directory('logs'),
          relatedBundlesDir: directory('related_bundles'),
          nestedBundlesDir,
          daysToLive: profile === 'expired' ? 0 : 3,
        };
  const binaryImages: Config['binaryImages'] =
    profile === 'open'
      ? {
          prod: { 'v4.16': 'reg.example.com/opm/registry:v4.16', 'v4.17': 'reg.example.com/opm/registry:v4.17' },
          stage: { 'v4.16': 'reg.example.com/opm/registry:v4.16-stage' },
        }
      : {};
  return { api, storage, binaryImages };
}

function replay(baseUrl: string, profile: Profile, dataDir: string, scenarios: string): Promise<string> {
  const args = [
    '--base-url',
    baseUrl,
    '--profile',
    profile,
    '--fresh',
    '--data-dir',
    dataDir,
    '--scenarios',
    scenarios,
  ];
  return new Promise((done) => {
    execFile(
      process.execPath,
      // By its real path: the kit's runner compares its own with the one it was started by.
      [realpathSync(join(KIT, 'run.mjs')), ...args],
      { maxBuffer: 64 * 1024 * 1024 },
      (_failure, stdout, stderr) => done(stdout + stderr),
    );
  });
}
