import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder that all test files of a run share; it goes with the run. */
    scratch: string;
  }
}

export default function setup(project: TestProject): () => void {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-run-'));
  // Postgres and the service of an image run as other users; what is private below says so itself.
  chmodSync(dir, 0o755);
  project.provide('scratch', dir);
  return () => rmSync(dir, { recursive: true, force: true });
}
