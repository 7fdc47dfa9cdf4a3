import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { makeIndex } from '../../src/sandbox/make-index.ts';
import type { Photograph } from '../../src/sandbox/photograph.ts';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { NAMESPACE } from '../../src/sandbox/service-files.ts';
import { clusterAdmin } from '../../src/sandbox/tenant.ts';
import { SOAK } from '../support/soak.ts';
import { bundleFiles, pushImage } from './support/bundle-images.ts';
import { branchOf, databaseOf, imageOf } from './support/content.ts';
import { dropWaiting, gateAt } from './support/gate.ts';
import { ADDED, newOperator } from './support/proof.ts';
import { type View, type World, world } from './support/world.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const BRANCH = 'v4.19';
const NAME = 'mine/direct-index';

let w: World;
let worker: RunningProgram;
/** An index whose changes are committed to its branch directly. */
let index: string;
let repository: string;

beforeAll(async () => {
  const settings = () => ({ bundleRepository: { proposal: 'direct-commit' } });
  w = await world({ workers: 0, settings, seededBy: 'settings' });
  worker = await w.sandbox.startWorker('worker-1');
  index = `${w.sandbox.at.registry}/${NAME}:${BRANCH}`;
  const lighthouse = `${w.sandbox.at.registry}/examples/lighthouse-bundle:v1.0.0`;
  const bundles = [await (await w.sandbox.registryClient()).resolve(lighthouse)];
  const made = await makeIndex(w.sandbox.layout, {
    ref: index,
    ocp: BRANCH,
    bundles,
    arches: ['amd64'],
    proposal: 'direct-commit',
  });
  repository = made.catalogRepoUrl;
});
afterAll(() => w?.close());

const Commit = z.object({ id: z.string(), title: z.string(), parent_ids: z.array(z.string()) });
const project = () => w.project(repository);
/** Newest first. */
const commits = () =>
  w.gitlab('GET', `${project()}/repository/commits?ref_name=${BRANCH}&per_page=20`, z.array(Commit));
const titles = async () => (await commits()).map(({ title }) => title);
const somebodyPushes = (file: string) =>
  w.gitlab('POST', `${project()}/repository/files/${file}`, z.unknown(), {
    branch: BRANCH,
    content: 'theirs\n',
    commit_message: `Add ${file}`,
  });
const add = (bundle: string, body: Record<string, unknown> = {}) =>
  w.add({ from_index: index, bundles: [bundle], ...body });

const Runs = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
      status: z.object({ completionTime: z.string().optional() }).optional(),
    }),
  ),
});
/** The commits that a pipeline was started for; waits until none is going on. */
async function built(): Promise<string[]> {
  const path = `/apis/tekton.dev/v1/namespaces/${NAMESPACE}/pipelineruns`;
  const runs = async () => (await clusterAdmin(w.sandbox.layout)('GET', path, Runs)).items;
  await expect
    .poll(async () => (await runs()).every(({ status }) => status?.completionTime), { timeout: 60_000 })
    .toBe(true);
  return (await runs()).map(({ metadata }) => metadata.annotations['pipelinesascode.tekton.dev/sha'] ?? '');
}

/** Branch, database and image have the same operators, this one among them, and nothing is left open. */
async function expectPublished(ended: View, operator: string, before: Photograph): Promise<void> {
  expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
  const [branch, database, image] = await Promise.all([
    branchOf(w, BRANCH, repository),
    databaseOf(w, index),
    imageOf(w, index),
  ]);
  expect(image.configs).toEqual(branch.configs);
  expect(Object.keys(branch.configs)).toContain(`${operator}/catalog.json`);
  expect(
    Object.keys(branch.configs)
      .map((path) => path.split('/')[0])
      .sort(),
  ).toEqual(database.packages.sort());
  const after = await w.photograph();
  expect(Object.keys(after.branches)).toEqual(Object.keys(before.branches));
  expect(after.openMergeRequests).toEqual([]);
}

test('overwrite: one commit on the branch, built by its push, and no merge request', async () => {
  const [before, commitsBefore] = [await w.photograph(), await commits()];
  const ended = await w.end(await add(await newOperator(w, 'buoy')));
  await expectPublished(ended, 'buoy', before);
  const [newest, ...others] = await commits();
  expect(newest?.title).toBe(`IIB: Add bundles for request ${ended.id}`);
  expect(others).toEqual(commitsBefore);
  expect(await built()).toEqual([newest?.id]);
  expect(await w.gitlab('GET', `${project()}/merge_requests`, z.array(z.unknown()))).toEqual([]);
  const Steps = z.object({ items: z.array(z.object({ name: z.string(), notes: z.record(z.string(), z.string()) })) });
  const steps = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${ended.id}/steps`);
  const { items } = Steps.parse(await steps.json());
  expect(items.find(({ name }) => name === 'propose')?.notes).toEqual({ commit: newest?.id });
});

test('throw-away: built on a branch of its own, which goes; the shared one stays as it is', async () => {
  const bundle = await newOperator(w, 'dinghy');
  const before = await w.photograph();
  const ended = await w.end(await add(bundle, { overwrite_from_index: false, overwrite_from_index_token: null }));
  expect(ended).toMatchObject({ state: 'complete', state_reason: ADDED });
  expect(Object.keys((await imageOf(w, ended.index_image)).configs)).toContain('dinghy/catalog.json');
  const after = await w.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(
    Object.keys(after.tags)
      .filter((tag) => before.tags[tag] !== after.tags[tag])
      .sort(),
  ).toEqual([`indexwright/iib-build:${ended.id}`, `indexwright/index-db:direct-index-${BRANCH}-${ended.id}`]);
});

test('a bundle is regenerated on a branch of its own, too', async () => {
  const client = await w.sandbox.registryClient();
  const ref = `${w.sandbox.at.registry}/examples/raft-bundle:v1.0.0`;
  const from = await pushImage(client, { ref, files: bundleFiles('raft', []) });
  const before = await w.photograph();
  const ended = await w.end(await w.post('regenerate-bundle', { from_bundle_image: from }));
  expect(ended).toMatchObject({ state: 'complete', bundle_image: expect.stringContaining(String(ended.id)) });
  const after = await w.photograph();
  expect({ ...after, tags: {} }).toEqual({ ...before, tags: {} });
});

test('a pipeline that fails: a revert commit, no tag has changed, and the revert is not built', async () => {
  const bundle = await newOperator(w, 'ferry');
  const [before, content, history] = [await w.photograph(), await branchOf(w, BRANCH, repository), await commits()];
  const runs = await built();
  w.sandbox.parts.kubernetes.now.tekton.endNext({ status: 'False', reason: 'Failed', message: 'no quota' });
  const ended = await w.end(await add(bundle));
  expect(ended).toMatchObject({ state: 'failed', state_reason: expect.stringMatching(/failed: no quota$/) });
  const title = `IIB: Add bundles for request ${ended.id}`;
  const [revert, commit, ...rest] = await commits();
  expect([revert?.title, commit?.title]).toEqual([`Revert "${title}"`, title]);
  expect(rest).toEqual(history);
  expect(await branchOf(w, BRANCH, repository)).toEqual(content);
  expect((await w.photograph()).tags).toEqual(before.tags);
  expect((await built()).sort()).toEqual([...runs, commit?.id].sort());
});

test('somebody pushes before the commit: it is made again on top of theirs', async () => {
  const before = await w.photograph();
  const gate = await gateAt(w.databaseUrl, 'propose', 'intent');
  const request = await add(await newOperator(w, 'galley'));
  await gate.reached();
  await somebodyPushes('OWNERS');
  await gate.open();
  const ended = await w.end(request);
  await expectPublished(ended, 'galley', before);
  expect((await titles()).slice(0, 2)).toEqual([`IIB: Add bundles for request ${ended.id}`, 'Add OWNERS']);
  expect(ended.state_history.map(({ state_reason: reason }) => reason)).toContainEqual(
    expect.stringMatching(/^Starting again on what somebody else has changed: .*v4\.19 changed during the request$/),
  );
});

test('somebody pushes on top of it while it is built: what was built is published, and theirs stays', async () => {
  const before = await w.photograph();
  const { faults } = w.sandbox.parts.pipelinesAsCode.now;
  faults.hold();
  const request = await add(await newOperator(w, 'ketch'));
  await w.reason(request, /^Waiting on KONFLUX build$/);
  await somebodyPushes('NOTES');
  faults.release();
  const ended = await w.end(request);
  await expectPublished(ended, 'ketch', before);
  expect((await titles()).slice(0, 2)).toEqual(['Add NOTES', `IIB: Add bundles for request ${ended.id}`]);
});

// What it shows others show, too.
test.runIf(SOAK)('somebody takes the commit back while it is built: it is made again', async () => {
  const before = await w.photograph();
  const { faults } = w.sandbox.parts.pipelinesAsCode.now;
  faults.hold();
  const request = await add(await newOperator(w, 'lugger'));
  await w.reason(request, /^Waiting on KONFLUX build$/);
  const [newest] = await commits();
  const revert = `${project()}/repository/commits/${newest?.id}/revert`;
  await w.gitlab('POST', revert, z.unknown(), { branch: BRANCH });
  faults.release();
  const ended = await w.end(request);
  await expectPublished(ended, 'lugger', before);
  const title = `IIB: Add bundles for request ${ended.id}`;
  expect((await titles()).slice(0, 3)).toEqual([title, `Revert "${title}"`, title]);
});

test('a worker killed between the push and its note: another one takes the commit back and makes it anew', async () => {
  const before = await w.photograph();
  const gate = await gateAt(w.databaseUrl, 'propose', 'outcome');
  const request = await add(await newOperator(w, 'packet'));
  await gate.reached();
  await worker.kill();
  await dropWaiting(w.databaseUrl);
  await gate.open();
  worker = await w.sandbox.startWorker('worker-2');
  const ended = await w.end(request);
  await expectPublished(ended, 'packet', before);
  const title = `IIB: Add bundles for request ${ended.id}`;
  expect((await titles()).slice(0, 3)).toEqual([title, `Revert "${title}"`, title]);
});
