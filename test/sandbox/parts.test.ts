import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { openLayout } from '../../src/sandbox/layout.ts';
import { commonParts } from '../../src/sandbox/parts.ts';

const FOREIGN = 'postgresql://foreign:password@127.0.0.1:1/foreign';
const root = mkdtempSync(join(tmpdir(), 'indexwright-parts-'));
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

test('the DATABASE_URL of a shell is not taken; one that is given for sandboxes is', async () => {
  const layout = await openLayout(root, 'imitated');
  vi.stubEnv('DATABASE_URL', FOREIGN);
  const { postgres } = commonParts(layout);
  await postgres.start();
  expect(new URL(postgres.now.url).port).toBe(`${layout.identity.ports.postgres}`);
  await postgres.stop();

  vi.stubEnv('INDEXWRIGHT_SANDBOX_DATABASE_URL', FOREIGN);
  const given = commonParts(layout).postgres;
  await given.start();
  expect(given.now.url).toBe(FOREIGN);
});
