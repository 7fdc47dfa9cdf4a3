import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { artifactPath, readArtifact, writeArtifact } from '../../src/storage/directories.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-storage-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a file is stored whole, read back as it is, and replaced by the next', async () => {
  const storage = { relatedBundlesDir: dir, daysToLive: 3 };
  expect(await readArtifact(storage, 'related_bundles', 7)).toBeNull();
  await writeArtifact(storage, 'related_bundles', 7, '["a"]');
  await writeArtifact(storage, 'related_bundles', 7, '["é"]\n');
  expect(Buffer.from((await readArtifact(storage, 'related_bundles', 7)) ?? []).toString()).toBe('["é"]\n');
  expect(readdirSync(dir)).toEqual(['7_related_bundles.json']);
  expect(statSync(join(dir, '7_related_bundles.json')).isFile()).toBe(true);
});

test('where no such files are kept nothing is stored', async () => {
  await writeArtifact({ daysToLive: 3 }, 'nested_bundles', 7, '[]');
  expect(artifactPath({ daysToLive: 3 }, 'nested_bundles', 7)).toBeNull();
  expect(readdirSync(dir)).toEqual([]);
});
