/**
 * Replays answers recorded from IIB against this service, for all configuration profiles.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../src/sandbox/ports.ts';
import { startPostgres } from '../src/sandbox/postgres.ts';
import { KIT, kitIsThere, PROFILES, runConformance } from '../test/support/conformance.ts';

if (process.argv.includes('--help')) {
  console.log('usage: node scripts/conformance.ts [SCENARIOS_DIR]   (INDEXWRIGHT_SHARED: where the kit is)');
  process.exit();
}
if (!kitIsThere()) {
  console.error(`There is no conformance kit at ${KIT}; set INDEXWRIGHT_SHARED to the directory that holds it.`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), 'indexwright-conformance-'));
const postgres = await startPostgres({ dir, port: await freePort(), settings: { fsync: 'off' } });
let passed = 0;
let failed = 0;
try {
  for (const profile of PROFILES) {
    const result = await runConformance(postgres.url, profile, process.argv[2]);
    console.log(`profile ${profile}\n${result.output.trimEnd()}`);
    passed += result.passed;
    failed += result.failed;
  }
} finally {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
