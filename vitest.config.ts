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

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The first are on real programs, by `make test-cluster` (vitest.cluster.config.ts).
    exclude: ['test/cluster/**', 'node_modules/**'],
    // All that a test leaves behind in its process is what is to be masked; a new one for each file would cost a second of CPU.
    isolate: false,
    globalSetup: ['test/support/postgres-global.ts', 'test/support/scratch-global.ts'],
    setupFiles: ['src/cli/fast-imports.ts'],
    pool: 'forks',
    // One more than the two cores of a small machine: end-to-end tests spend part of their time waiting for others.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // These only end a test that hangs: how long a test takes on a busy machine decides nothing.
    testTimeout: 180_000,
    // One second, as vitest has it, is little for a busy machine; what is awaited comes at once as a rule.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 180_000,
    reporters: ['default'],
  },
});
