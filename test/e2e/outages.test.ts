import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { RunningProgram } from '../../src/sandbox/program.ts';
import { Anything } from '../../src/sandbox/rest.ts';
import { SOAK } from '../support/soak.ts';
import { dropWaiting, gateAt, type Moment } from './support/gate.ts';
import { stepOf } from './support/journal.ts';
import { ADDED, expectPublished, expectUndone, newOperator, operatorsOf } from './support/proof.ts';
import { type View, type World, world } from './support/world.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const LONG = { timeout: 120_000, interval: 50 };
/** Milliseconds. */
const FOREVER = 240_000;

let w: World;
let worker: RunningProgram;
let workers = 0;
let operators = 0;
/** Digest of the index before any request. */
let first: string;

beforeAll(async () => {
  w = await world({ workers: 0 });
  first = (await (await w.sandbox.registryClient()).digestOf(w.sandbox.seeded.fromIndex)) as string;
});
afterAll(() => w?.close());

/** So that one test that fails does not take the others along. */
afterEach(async () => {
  for (const name of ['postgres', 'registry', 'gitlab'] as const) await parts()[name].start();
  releaseBuilds();
  parts().pipelinesAsCode.now.faults.speak();
  parts().kubernetes.now.faults.clear();
});

/** Takes the place of the worker with one that has these deadlines and otherwise all the time in the world. */
async function newWorker(deadlines: Record<string, number>): Promise<void> {
  await worker?.stop();
  const file = w.sandbox.layout.path('config.yaml');
  const config = z.looseObject({}).parse(parse(readFileSync(file, 'utf8')));
  const all = { patience: FOREVER, forward: FOREVER, runAppears: FOREVER, runStarts: FOREVER, runEnds: FOREVER };
  writeFileSync(file, stringify({ ...config, deadlines: { ...all, merge: FOREVER, poll: 1000, ...deadlines } }));
  workers += 1;
  worker = await w.sandbox.startWorker(`worker-${workers}`);
}

const log = () => readFileSync(w.sandbox.layout.path('logs', `worker-${workers}.log`), 'utf8');

/** Resolves when the worker has written a line like that `times` times from now on. */
function logged(pattern: RegExp, times = 1): () => Promise<void> {
  const from = log().length;
  const lines = () =>
    log()
      .slice(from)
      .split('\n')
      .filter((line) => pattern.test(line)).length;
  return () => expect.poll(lines, LONG).toBeGreaterThanOrEqual(times);
}
const trying = () => logged(/tried again|made anew/);

/** An operator that no index has yet, and how everything looks before it is added. */
async function prepare() {
  operators += 1;
  const operator = `beacon-${operators}`;
  const bundle = await newOperator(w, operator);
  return { operator, bundle, before: await w.photograph() };
}

/** Why undoing the request does not work at present. */
async function undoError(request: Pick<View, 'id'>): Promise<string | null> {
  const sql = 'select undo_error from deliveries join requests on delivery_id = deliveries.id where requests.id = $1';
  const rows = await w.query(sql, z.object({ undo_error: z.string().nullable() }), [request.id]);
  return rows[0]?.undo_error ?? null;
}

/** Ends a request from outside, as an administrator would. */
async function patch(request: Pick<View, 'id'>, reason: string): Promise<void> {
  const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${request.id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ state: 'failed', state_reason: reason }),
  });
  expect({ status: answer.status, text: await answer.text() }).toMatchObject({ status: 200 });
}

async function openDeliveries(): Promise<number> {
  const sql = 'select count(*)::int as count from deliveries where ended_at is null';
  const [row] = await w.query(sql, z.object({ count: z.number() }));
  return row?.count ?? 0;
}

const parts = () => w.sandbox.parts;
const building = (request: View) => w.reason(request, /^Waiting on KONFLUX build$/);
/** New runs are made and wait, so that something can happen while the image is built. */
const holdBuilds = () => parts().pipelinesAsCode.now.faults.hold();
const releaseBuilds = () => parts().pipelinesAsCode.now.faults.release();

type Stoppable = 'registry' | 'gitlab';
const NAMES: Record<Stoppable, RegExp> = { registry: /registry/, gitlab: /GitLab/ };
/** Where parts go away in the middle; the others of these only by `make soak`. */
const TELLING = new Set(['stage', 'merge']);
const ALL_MIDDLES: [Stoppable, Moment, string][] = [
  ['registry', 'report', 'Checking if bundles are already present in index image'],
  ['registry', 'intent', 'artifact'],
  ['registry', 'intent', 'stage'],
  ['gitlab', 'intent', 'propose'],
  ['gitlab', 'intent', 'merge'],
];
const MIDDLES = ALL_MIDDLES.filter(([, , name]) => SOAK || TELLING.has(name));

describe('a part comes back in time', () => {
  beforeAll(() => newWorker({}));

  /** Stops the part, and resolves when it has been missed. */
  async function away<T>(part: Stoppable, meanwhile: () => Promise<T>): Promise<T> {
    const again = trying();
    await parts()[part].stop();
    const done = await meanwhile();
    await again();
    return done;
  }

  test('registry, gitlab and kubernetes, each at two moments of one request: is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const { faults } = parts().kubernetes.now;
    const request = await away('registry', () => w.add({ bundles: [bundle] }));
    let gate = await gateAt(w.databaseUrl, 'propose', 'intent');
    await parts().registry.start();
    await gate.reached();
    await away('gitlab', () => gate.open());
    faults.inject({ resource: 'pipelineruns', verb: 'list' }, { kind: 'drop' }, 3);
    holdBuilds();
    await parts().gitlab.start();
    await expect
      .poll(async () => (await stepOf(w, request, 'build'))?.notes, LONG)
      .toMatchObject({ progress: 'queued' });
    faults.inject({ resource: 'pipelineruns' }, { kind: 'drop' }, 4);
    faults.eachWatch((watch) => watch.reset());
    gate = await gateAt(w.databaseUrl, 'stage', 'intent');
    releaseBuilds();
    await gate.reached();
    await away('registry', () => gate.open());
    gate = await gateAt(w.databaseUrl, 'merge', 'intent');
    await parts().registry.start();
    await gate.reached();
    await away('gitlab', () => gate.open());
    await parts().gitlab.start();
    await expectPublished(w, await w.end(request), operator, before);
  });

  test('postgres is away when the request is sent: 500, and the next one is complete', async () => {
    const { operator, bundle, before } = await prepare();
    const restarted = logged(/worker stopped by itself/, 2);
    await parts().postgres.stop();
    await expect(w.add({ bundles: [bundle] })).rejects.toThrow(/POST add: 500 \{"error":"The server encountered/);
    await restarted();
    await parts().postgres.start();
    await expectPublished(w, await w.end(await w.add({ bundles: [bundle] })), operator, before);
  });

  test('postgres goes away while the image is built, for longer than patience: is complete', async () => {
    await newWorker({ patience: 500, forward: 500 });
    const { operator, bundle, before } = await prepare();
    holdBuilds();
    const request = await w.add({ bundles: [bundle] });
    await building(request);
    const restarted = logged(/worker stopped by itself/, 3);
    await parts().postgres.stop();
    const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${request.id}`);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ error: expect.stringContaining('internal error') });
    await restarted();
    releaseBuilds();
    await parts().postgres.start();
    await expectPublished(w, await w.end(request), operator, before);
  });
});

describe('a part stays away', () => {
  beforeAll(() => newWorker({ patience: 1000, forward: 1000 }));

  test.each<Stoppable>(['registry', 'gitlab'])('%s is away when the request begins: has failed', async (part) => {
    const { bundle, before } = await prepare();
    await parts()[part].stop();
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    await parts()[part].start();
    await expectUndone(w, ended, NAMES[part], before);
  });

  test.each(MIDDLES)(
    '%s goes away at the %s of "%s": has failed, undone when it is back',
    async (part, moment, name) => {
      const { bundle, before } = await prepare();
      const gate = await gateAt(w.databaseUrl, name, moment);
      const request = await w.add({ bundles: [bundle] });
      await gate.reached();
      await parts()[part].stop();
      await gate.open();
      if (moment === 'intent') {
        await expect.poll(() => undoError(request), LONG).toMatch(NAMES[part]);
        expect(await w.get(request.id)).toMatchObject({
          state: 'in_progress',
          state_reason: expect.stringMatching(/^Undoing the request's changes after a failure: /),
        });
      } else await w.end(request);
      await parts()[part].start();
      await expectUndone(w, await w.end(request), NAMES[part], before);
    },
  );

  test('the registry goes away after the merge: has failed, the merge is reverted once, also by two workers', async () => {
    const { operator, bundle, before } = await prepare();
    // Under the settings that leave the commits themselves on the branch; the soak tries all of them.
    await w.gitlab('PUT', w.project(), Anything, { merge_method: 'ff', squash_option: 'never' });
    let gate = await gateAt(w.databaseUrl, 'publish', 'intent');
    const request = await w.add({ bundles: [bundle] });
    await gate.reached();
    expect((await operatorsOf(w)).branch).toContain(operator);
    await parts().registry.stop();
    await gate.open();
    await expect.poll(() => undoError(request), LONG).toMatch(/registry/);
    gate = await gateAt(w.databaseUrl, 'merge', 'undone');
    await parts().registry.start();
    await gate.reached();
    await worker.kill();
    await dropWaiting(w.databaseUrl);
    await gate.open();
    await newWorker({ patience: 1000, forward: 1000 });
    const ended = await w.end(request);
    // History is never taken back: the branch has the merge and its revert.
    const branch = `${new URL(w.sandbox.seeded.catalogRepoUrl).pathname.slice(1)} v4.19`;
    const Commits = z.array(z.object({ id: z.string(), title: z.string() }));
    const [newest] = await w.gitlab('GET', `${w.project()}/repository/commits?ref_name=v4.19`, Commits);
    expect(newest?.title).toMatch(/^Revert "/);
    before.branches[branch] = newest?.id ?? '';
    await expectUndone(w, ended, /registry/, before);
    await w.gitlab('PUT', w.project(), Anything, { merge_method: 'merge', squash_option: 'default_off' });
    const { branch: inBranch, artifact, image } = await operatorsOf(w);
    expect(inBranch).not.toContain(operator);
    expect({ artifact, image }).toEqual({ artifact: inBranch, image: inBranch });
  });

  test('kubernetes does not answer when the build begins: has failed, undone when it is back', async () => {
    await newWorker({ patience: 500, runAppears: 2000 });
    const { bundle, before } = await prepare();
    const { faults } = parts().kubernetes.now;
    const connect = faults.inject({ resource: 'pipelineruns' }, { kind: 'drop' }, Number.POSITIVE_INFINITY);
    const request = await w.add({ bundles: [bundle] });
    await expect.poll(() => undoError(request), LONG).toMatch(/cluster .* cannot be reached/);
    connect();
    const reason = /Failed to fetch pipelineruns for commit \w+: The cluster .* cannot be reached/;
    await expectUndone(w, await w.end(request), reason, before);
  });

  test('kubernetes does not answer while the image is built: has failed, undone when it is back', async () => {
    await newWorker({ patience: 500, runStarts: 2000 });
    const { bundle, before } = await prepare();
    const { faults } = parts().kubernetes.now;
    holdBuilds();
    const connect = ['get', 'watch', 'patch'].map((verb) =>
      faults.inject({ resource: 'pipelineruns', verb }, { kind: 'drop' }, Number.POSITIVE_INFINITY),
    );
    const request = await w.add({ bundles: [bundle] });
    await expect.poll(() => undoError(request), LONG).toMatch(/cluster .* cannot be reached/);
    for (const end of connect) end();
    const reason = /Timeout waiting for pipelinerun \S+ to start after 2 seconds\. The cluster .* cannot be reached/;
    await expectUndone(w, await w.end(request), reason, before);
  });
});

describe('the build', () => {
  beforeAll(() => newWorker({ runAppears: 3000 }));

  test('is never started: has failed with what to check', async () => {
    const { bundle, before } = await prepare();
    parts().pipelinesAsCode.now.faults.silence();
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    await expectUndone(w, ended, /^Failed to add bundles: No pipelineruns found for commit [0-9a-f]{40}/, before);
  });

  test('fails: has failed with its message', async () => {
    await newWorker({});
    const { bundle, before } = await prepare();
    parts().kubernetes.now.tekton.endNext({ status: 'False', reason: 'Failed', message: 'the policy refuses it' });
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    await expectUndone(w, ended, /^Failed to add bundles: Pipelinerun \S+ failed: the policy refuses it$/, before);
  });
});

describe('other people, while the image is built', () => {
  beforeAll(() => newWorker({}));

  /** Holds the build of a request until `act` is done. */
  async function meanwhile(bundle: string, act: (request: View) => Promise<unknown>): Promise<View> {
    holdBuilds();
    const request = await w.add({ bundles: [bundle] });
    await building(request);
    await act(request);
    releaseBuilds();
    return w.end(request);
  }

  test('push to the catalog branch: it is built again on that, and complete', async () => {
    const { operator, bundle, before } = await prepare();
    const file = { branch: 'v4.19', content: 'ours\n', commit_message: 'Say whose it is' };
    const ended = await meanwhile(bundle, () =>
      w.gitlab('POST', `${w.project()}/repository/files/OWNERS`, Anything, file),
    );
    await expectPublished(w, ended, operator, before);
    const kept = z.object({ content: z.string() });
    const { content } = await w.gitlab('GET', `${w.project()}/repository/files/OWNERS?ref=v4.19`, kept);
    expect(Buffer.from(content, 'base64').toString()).toBe('ours\n');
    expect(ended.state_history.map(({ state_reason: reason }) => reason)).toContainEqual(
      expect.stringMatching(/^Starting again on what somebody else has changed: /),
    );
  });

  test('move the tag of the index: has failed with the sentence clients know, and the tag stays theirs', async () => {
    const { bundle, before } = await prepare();
    const { fromIndex } = w.sandbox.seeded;
    const client = await w.sandbox.registryClient();
    const was = (await client.digestOf(fromIndex)) as string;
    const name = fromIndex.slice(w.sandbox.at.registry.length + 1);
    const ended = await meanwhile(bundle, () => client.point(fromIndex, first));
    const reason = 'The supplied from_index image changed during the IIB request. Please resubmit the request.';
    expect(ended.state_reason).toBe(`Failed to add bundles: ${reason}`);
    await expectUndone(w, ended, reason, { ...before, tags: { ...before.tags, [name]: first } });
    await client.point(fromIndex, was);
  });

  test('close the merge request: has failed and says so', async () => {
    const { bundle, before } = await prepare();
    const ended = await meanwhile(bundle, async (request) => {
      const { iid } = z.object({ iid: z.number() }).parse((await stepOf(w, request, 'propose'))?.outcome);
      await w.gitlab('PUT', `${w.project()}/merge_requests/${iid}`, Anything, { state_event: 'close' });
    });
    await expectUndone(w, ended, /^Failed to add bundles: .*merge request \d+.*closed/i, before);
  });

  test('end the request by PATCH: it is undone', async () => {
    const { bundle, before } = await prepare();
    const ended = await meanwhile(bundle, (request) => patch(request, 'not wanted any more'));
    await expect.poll(() => openDeliveries(), LONG).toBe(0);
    await expectUndone(w, ended, /^not wanted any more$/, before);
  });
});

describe('the merge', () => {
  test('is refused: has failed in the words of GitLab', async () => {
    const { bundle, before } = await prepare();
    parts().gitlab.now.faults.refuseMerge({ status: 403, message: '403 Forbidden: the release is frozen' });
    const ended = await w.end(await w.add({ bundles: [bundle] }));
    const reason = /^Failed to add bundles: Failed to merge merge request \d+: .*the release is frozen/;
    await expectUndone(w, ended, reason, before);
  });

  test('is done when somebody ends the request by PATCH: there is only forward', async () => {
    const { operator, bundle, before } = await prepare();
    const gate = await gateAt(w.databaseUrl, 'publish', 'intent');
    const request = await w.add({ bundles: [bundle] });
    await gate.reached();
    await patch(request, 'too late');
    await gate.open();
    await expect.poll(() => openDeliveries(), LONG).toBe(0);
    const ended = await w.get(request.id);
    expect(ended).toMatchObject({ state: 'failed', state_reason: 'too late' });
    await expectPublished(w, { ...ended, state: 'complete', state_reason: ADDED }, operator, before);
  });
});
