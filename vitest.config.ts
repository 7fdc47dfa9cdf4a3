import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { temporaryFolder } from './test/support/memory.ts';

process.env.TMPDIR = temporaryFolder();

/** Whole requests take minutes, all else seconds: what begins last should end soon. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => /\/test\/(e2e|clients)\//.test(moduleId);
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** Rooms whose tests leave nothing behind in their process; a new one for each file would take longer than they do. */
const QUICK = [
  'api',
  'config',
  'db',
  'docs',
  'errors',
  'house',
  'manifests',
  'onboarding',
  'requests',
  'spine',
  'sandbox/kubernetes',
  'sandbox/pac',
  'sandbox/tekton',
  'storage',
  'telemetry',
].map((room) => `test/${room}/**/*.test.ts`);
// On real programs, by `make test-cluster` (vitest.cluster.config.ts).
const REAL = ['test/cluster/**', 'node_modules/**'];

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'quick', include: QUICK, exclude: REAL, isolate: false } },
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'], exclude: [...REAL, ...QUICK] } },
    ],
    globalSetup: ['test/support/postgres-global.ts', 'test/support/scratch-global.ts'],
    setupFiles: ['src/cli/fast-imports.ts'],
    pool: 'forks',
    // One more than the two cores of a small machine: end-to-end tests spend part of their time waiting for others.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    // One second, as vitest has it, is little for a busy machine; what is awaited comes at once as a rule.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
    reporters: ['default'],
  },
});
