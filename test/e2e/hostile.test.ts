import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonText } from '../../src/catalog/json-rules.ts';
import type { Photograph } from '../../src/sandbox/photograph.ts';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { SOAK } from '../support/soak.ts';
import { FURTHER_BUNDLES, HOSTILE_BUNDLES } from './support/hostile-bundles.ts';
import type { Stage } from './support/hostile-case.ts';
import { FURTHER_FRAGMENTS, HOSTILE_FRAGMENTS } from './support/hostile-fragments.ts';
import { HOSTILE_NAMES } from './support/hostile-names.ts';
import { expectPublished, newOperator } from './support/proof.ts';
import { type World, world } from './support/world.ts';

/** MiB; a worker that idles has some 200. */
const MEMORY = 1500;
const HOSTILE = [...HOSTILE_BUNDLES, ...HOSTILE_FRAGMENTS, ...HOSTILE_NAMES];
if (SOAK) HOSTILE.push(...FURTHER_BUNDLES, ...FURTHER_FRAGMENTS);
const STAGE = 'hostile/image';

let here: World;
let worker: RunningProgram;
let stage: Stage;
let index = '';
let before: Photograph;
let projectBefore: string[] = [];
/** PostgreSQL's data, where its user may not enter the sandbox. */
let temporaryBefore: string[] = [];
/** Ids of requests that are complete. */
const complete: number[] = [];

/** Everything the service and its programs take for their own: HOME and the folder for temporary files. */
const root = mkdtempSync(join(tmpdir(), 'indexwright-hostile-'));
const own = { HOME: join(root, 'home'), TMPDIR: join(root, 'tmp') };
const theirs = { HOME: process.env.HOME, TMPDIR: process.env.TMPDIR };

beforeAll(async () => {
  chmodSync(root, 0o755);
  for (const dir of Object.values(own)) mkdirSync(dir, { mode: 0o755 });
  Object.assign(process.env, own);
  here = await world({ workers: 0 });
  worker = await here.sandbox.startWorker('worker-1');
  const { at, layout } = here.sandbox;
  let count = 0;
  stage = {
    client: await here.sandbox.registryClient(),
    ref: () => `${at.registry}/${STAGE}:${++count}`,
    forbidden: join(root, 'forbidden'),
    damage(digest) {
      const hex = digest.split(':')[1] ?? '';
      const blobs = layout.path('registry', 'storage/docker/registry/v2/blobs/sha256');
      const path = join(blobs, hex.slice(0, 2), hex, 'data');
      const bytes = readFileSync(path);
      // The content of the last file of a tar, which ends with two empty blocks.
      const at = bytes.length - 3 * 512;
      writeFileSync(path, bytes.fill(bytes[at] === 0 ? 1 : 0, at, at + 1));
    },
  };
  const lighthouse = await stage.client.resolve(`${at.registry}/examples/lighthouse-bundle:v1.0.0`);
  index = await here.index('catalogs/hostile-index:v4.19', 'v4.19', [lighthouse], {
    fbcDir: fileBasedBeacon(),
    arches: ['amd64'],
  });
  before = await here.photograph();
  projectBefore = readdirSync('.').sort();
  temporaryBefore = readdirSync(own.TMPDIR).sort();
});
afterAll(async () => {
  await here?.close();
  for (const [name, value] of Object.entries(theirs)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(root, { recursive: true, force: true });
});

/** A folder with the package `beacon`, which no database has. */
function fileBasedBeacon(): string {
  const name = 'beacon.v0.1.0';
  const image = `example.com/beacon@sha256:${'1'.repeat(64)}`;
  const properties = [{ type: 'olm.package', value: { packageName: 'beacon', version: '0.1.0' } }];
  mkdirSync(join(root, 'fbc', 'beacon'), { recursive: true });
  writeFileSync(
    join(root, 'fbc', 'beacon', 'catalog.json'),
    jsonText([
      { schema: 'olm.package', name: 'beacon', defaultChannel: 'stable' },
      { schema: 'olm.channel', package: 'beacon', name: 'stable', entries: [{ name }] },
      { schema: 'olm.bundle', package: 'beacon', name, image, properties },
    ]),
  );
  return join(root, 'fbc');
}

/** State and reason at the end; status and text where the API has refused it. */
async function outcomeOf(route: string, body: Record<string, unknown>): Promise<{ state: string; reason: string }> {
  const answer = await fetch(`${here.sandbox.at.apiUrl}/api/v1/builds/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const json = (await answer.json()) as { id: number };
  if (answer.status !== 201) return { state: String(answer.status), reason: JSON.stringify(json) };
  const { state, state_reason: reason } = await here.end(json);
  if (state === 'complete') complete.push(json.id);
  return { state, reason };
}

/** Where a process holds a lock, by which others know that its directories are in use; Linux only. */
function lockedDirectories(pid: number): string[] {
  const files = `/proc/${pid}/fd`;
  const open = readdirSync(files).map((file) => readlinkSync(join(files, file)));
  return open.filter((path) => basename(path) === 'lock').map((path) => dirname(path));
}

describe.concurrent(`${HOSTILE.length} hostile requests`, { timeout: 240_000 }, () => {
  test.for(HOSTILE)('$name', async ({ route, body, state, reason }, { expect: expectHere }) => {
    const ended = await outcomeOf(route, { from_index: index, ...(await body(stage)) });
    expectHere(ended).toEqual({ state: state ?? 'failed', reason: expect.stringMatching(reason) });
  });
});

test('nothing was written but to the folders of the service', async () => {
  // A request has ended a moment before its folder is gone.
  const work = here.sandbox.layout.path('state', 'work');
  const [ofWorker, ...others] = readdirSync(work);
  expect(others).toEqual([]);
  const left = () => readdirSync(join(work, ofWorker ?? ''));
  await expect.poll(left, { timeout: 30_000 }).toEqual(['lock']);
  if (existsSync('/proc/self/fd')) {
    // One for its work, and one for secrets, which is in memory.
    const inEach = () => lockedDirectories(worker.pid).map((dir) => readdirSync(dir));
    await expect.poll(inEach, { timeout: 30_000 }).toEqual([['lock'], ['lock']]);
  }
  expect(existsSync(stage.forbidden)).toBe(false);
  expect(readdirSync(root).sort()).toEqual(['fbc', 'home', 'tmp']);
  expect(readdirSync(own.HOME)).toEqual([]);
  expect(readdirSync(own.TMPDIR).sort()).toEqual(temporaryBefore);
  expect(readdirSync('.').sort()).toEqual(projectBefore);
});

test('indexes, branches and merge requests are as before', async () => {
  const after = await here.photograph();
  const outputs = complete.flatMap((id) => [
    `indexwright/iib-build:${id}`,
    `indexwright/index-db:hostile-index-v4.19-${id}`,
  ]);
  expect(Object.keys(after.tags)).toEqual(expect.arrayContaining(outputs));
  const others = Object.entries(after.tags).filter(([tag]) => !outputs.includes(tag));
  const tags = others.filter(([tag]) => !tag.startsWith(`${STAGE}:`));
  expect({ ...after, tags: Object.fromEntries(tags) }).toEqual(before);
});

test('the worker lives, and has kept within its memory', async () => {
  const log = readFileSync(here.sandbox.layout.path('logs', 'worker-1.log'), 'utf8');
  expect(log.match(/"worker is ready"/g)).toHaveLength(1);
  process.kill(worker.pid, 0);
  const status = `/proc/${worker.pid}/status`;
  if (!existsSync(status)) return;
  const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'))?.[1]);
  expect(peak / 1024).toBeLessThan(MEMORY);
});

test('the next request is served', async () => {
  const bundle = await newOperator(here, 'afterwards');
  const now = await here.photograph();
  const ended = await here.end(await here.add({ bundles: [bundle] }));
  await expectPublished(here, ended, 'afterwards', now);
});
