import { defineConfig } from 'vitest/config';

/** Tests on a real cluster: one of it on a machine, so one file after the other. */
export default defineConfig({
  test: {
    // The contract suite runs on the imitation, too, by `make test`.
    include: ['test/cluster/**/*.test.ts', 'test/contract/**/*.test.ts'],
    env: { INDEXWRIGHT_CLUSTER: 'real' },
    globalSetup: ['test/support/scratch-global.ts'],
    setupFiles: ['src/cli/fast-imports.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 300_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 600_000,
    reporters: ['default'],
  },
});
