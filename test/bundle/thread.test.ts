import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCsvs } from '../../src/bundle/csv-edit.ts';
import { inThread } from '../../src/bundle/thread.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-thread-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function manifests(text: string): Promise<string> {
  const to = await mkdtemp(join(dir, 'manifests-'));
  await mkdir(to, { recursive: true });
  await writeFile(join(to, 'a.yaml'), `kind: ClusterServiceVersion\nmetadata: {name: a}\n${text}`);
  return to;
}

test('a large file holds nobody up, though it takes long to read', async () => {
  const large = await manifests(`x:\n${'- {a: "b", c: [d, e, f]}\n'.repeat(15_000)}`);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await inThread('readCsv', large);
  delay.enable();
  const began = performance.now();
  expect(await inThread('readCsv', large)).toMatchObject({ name: 'a' });
  const took = performance.now() - began;
  delay.disable();
  // A turn of the event loop takes a small part of what the whole takes, however busy the machine is.
  expect(delay.percentile(99) / 1e6).toBeLessThan(took / 4);
});

test('a file that expands to too much ends as a refusal, and the next is read', async () => {
  const nodes = await manifests(`x: [${'[],'.repeat(500_000)}]`);
  await expect(openCsvs(nodes)).rejects.toMatchObject({
    code: 'bundle_unsupported',
    message: expect.stringMatching(/manifests\/a\.yaml, line 3, column \d+: more than 500000 values$/),
  });
  expect(await inThread('readCsv', nodes)).toBeNull();
  expect(await inThread('readCsv', await manifests(''))).toMatchObject({ name: 'a' });
});

test('what a task throws arrives with code, sentence and cause', async () => {
  await expect(inThread('readAnnotations', dir)).rejects.toMatchObject({
    code: 'bundle_unsupported',
    message: 'metadata/annotations.yaml does not exist in the bundle',
    cause: expect.stringContaining('ENOENT'),
  });
});

test('a file larger than a cluster could store is named', async () => {
  const large = await manifests(`x: "${'x'.repeat(16 * 1024 * 1024)}"`);
  const message = /^The manifest manifests\/a\.yaml has \d+ bytes, more than 16777216: make it smaller$/;
  await expect(openCsvs(large)).rejects.toThrow(message);
  await expect(inThread('readCsv', large)).rejects.toThrow(message);
});
