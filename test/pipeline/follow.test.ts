import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Cluster } from '../../src/pipeline/cluster.ts';
import type { Follow } from '../../src/pipeline/follow.ts';
import type { Run } from '../../src/pipeline/model.ts';
import { RESOURCES } from '../../src/sandbox/kubernetes/object.ts';
import { clusterWorld, Onlooker, SOON, type StartedRun, type World } from './world.ts';

const sha = 'e'.repeat(40);
const template = 'catalog-on-pull-request';
const image = { IMAGE_URL: 'quay.io/x/y:on-pr-e\n', IMAGE_DIGEST: 'sha256:5\n' };
const { signal } = new AbortController();
let world: World;

beforeEach(async () => {
  world = await clusterWorld();
});
afterEach(() => world.stop());

const runOf = ({ name, uid }: StartedRun): Run => ({ name, uid, sha, template });
const follow = (cluster: Cluster, run: StartedRun, more: Partial<Follow> = {}) =>
  cluster.waitForEnd(runOf(run), { starts: 30_000, ends: 30_000, signal, ...more });
const watching = (count = 1) => vi.waitFor(() => expect(world.kubernetes.faults.watches.size).toBe(count), SOON);

test('a run is followed to its image', async () => {
  const run = world.createRun({ sha });
  const reasons: string[] = [];
  run.queue();
  const ended = follow(world.connect(), run, { onProgress: (reason) => reasons.push(reason) });
  await watching();
  await vi.waitFor(() => expect(reasons).toEqual(['queued']), SOON);
  run.start();
  await vi.waitFor(() => expect(reasons).toEqual(['queued', 'Running']), SOON);
  run.end('True', { results: image });
  expect(await ended).toEqual({
    status: 'succeeded',
    run: runOf(run),
    imageUrl: 'quay.io/x/y:on-pr-e',
    imageDigest: 'sha256:5',
    results: { IMAGE_URL: 'quay.io/x/y:on-pr-e', IMAGE_DIGEST: 'sha256:5' },
  });
  await watching(0);
});

test('a run that is over already', async () => {
  const run = world.createRun({ sha });
  run.end('False', { message: 'Tasks Completed: 1', results: image });
  await expect(follow(world.connect(), run)).rejects.toMatchObject({
    code: 'pipeline_failed',
    message: `Pipelinerun ${run.name} failed: Tasks Completed: 1`,
  });
});

test('all who wait share one watch, and each hears of its own run', async () => {
  const cluster = world.connect();
  const runs = ['1', '2', '3', '4', '5'].map((digit) => ({
    sha: digit.repeat(40),
    run: world.createRun({ sha: digit.repeat(40) }),
  }));
  const waits = runs.map(({ run, ...named }) =>
    cluster.waitForEnd({ ...runOf(run), ...named }, { starts: 30_000, ends: 30_000, signal }),
  );
  await watching(1);
  for (const { run } of runs) run.end('True', { results: { IMAGE_URL: `quay.io/x/y:${run.name}` } });
  expect((await Promise.all(waits)).map(({ imageUrl }) => imageUrl)).toEqual(
    runs.map(({ run }) => `quay.io/x/y:${run.name}`),
  );
  await watching(0);
});

describe('a watch that misbehaves hides nothing', () => {
  /** Ends the run while the watch is struck, and expects the wait to end well. */
  async function endsWell(cluster: Cluster, strike: () => void): Promise<void> {
    const run = world.createRun({ sha });
    const ended = follow(cluster, run);
    await watching();
    strike();
    run.start();
    run.end('True', { results: image });
    expect(await ended).toMatchObject({ imageUrl: 'quay.io/x/y:on-pr-e' });
  }
  const each = (act: Parameters<World['kubernetes']['faults']['eachWatch']>[0]) =>
    world.kubernetes.faults.eachWatch(act);

  test('late, and tells what was seen long before', async () => {
    const lists = new Onlooker('');
    world.kubernetes.faults.inject({ verb: 'list', path: lists }, { kind: 'drop' });
    world.kubernetes.faults.inject({ verb: 'watch' }, { kind: 'delay', milliseconds: 1_500 });
    const run = world.createRun({ sha });
    const reasons: string[] = [];
    const ended = follow(world.connect({ poll: 20 }), run, { onProgress: (reason) => reasons.push(reason) });
    // From here on the watch will tell everything.
    await vi.waitFor(() => expect(lists.count).toBe(1), SOON);
    run.queue();
    await vi.waitFor(() => expect(reasons.at(-1)).toBe('queued'), SOON);
    run.start();
    await vi.waitFor(() => expect(reasons.at(-1)).toBe('Running'), SOON);
    await watching();
    // What it told before has been read by the time this arrives.
    run.end('True', { results: image });
    await ended;
    expect(reasons).toEqual([...new Set(reasons)]);
  });

  test('closed', () => endsWell(world.connect(), () => each((watch) => watch.end())));
  test('reset', () => endsWell(world.connect(), () => each((watch) => watch.reset())));
  test('expired, told in the stream', () =>
    endsWell(world.connect(), () => {
      each((watch) => watch.reset());
      world.createRun({ sha: 'f'.repeat(40) });
      world.kubernetes.store.history.compact();
    }));
  test('expired, told by status', () =>
    endsWell(world.connect(), () => {
      world.kubernetes.faults.inject({ verb: 'watch' }, { kind: 'status', status: 410 });
      each((watch) => watch.reset());
    }));
  test('an error of another kind in the stream', () =>
    endsWell(world.connect(), () => {
      const error = { kind: 'Status', code: 500, message: 'etcd is unwell' };
      each((watch) => watch.write(`${JSON.stringify({ type: 'ERROR', object: error })}\n`));
      each((watch) => watch.silence());
    }));
  test('an object that cannot be read', () =>
    endsWell(world.connect({ poll: 100 }), () => {
      each((watch) => watch.write('{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"x"}}}\n'));
      each((watch) => watch.silence());
    }));
  test('garbage', () => endsWell(world.connect(), () => each((watch) => watch.write('<html>\n{"type":\n\n\u0000\n'))));
  test('silent', () => endsWell(world.connect({ poll: 50 }), () => each((watch) => watch.silence())));
  test('refused', () => {
    world.kubernetes.faults.inject({ verb: 'watch' }, { kind: 'status', status: 403 }, 3);
    return endsWell(world.connect({ poll: 50 }), () => {});
  });

  test('cut every 100 ms, without a storm of calls', async () => {
    const watches = new Onlooker('');
    const lists = new Onlooker('');
    world.kubernetes.faults.inject({ verb: 'watch', path: watches }, { kind: 'drop' });
    world.kubernetes.faults.inject({ verb: 'list', path: lists }, { kind: 'drop' });
    const run = world.createRun({ sha });
    const seen: string[] = [];
    const ended = follow(world.connect(), run, { onProgress: (reason) => seen.push(reason) });
    const cutting = setInterval(() => each((watch) => watch.reset()), 100);
    try {
      await vi.waitFor(() => expect(watches.count).toBeGreaterThan(3), { timeout: 10_000 });
      run.start();
      await vi.waitFor(() => expect(seen).toContain('Running'), { timeout: 20_000 });
      run.end('True', { results: image });
      expect(await ended).toMatchObject({ imageDigest: 'sha256:5' });
    } finally {
      clearInterval(cutting);
    }
    expect(watches.count).toBeLessThan(12);
    expect(lists.count).toBeLessThan(3);
  });
});

describe('deletion', () => {
  test('after the end, the result stands', async () => {
    const run = world.createRun({ sha, finalizers: ['chains.tekton.dev/pipelinerun'] });
    const ended = follow(world.connect(), run);
    await watching();
    run.start();
    run.remove();
    run.end('True', { results: image });
    expect(await ended).toMatchObject({ imageDigest: 'sha256:5' });
  });

  test('of the run while the watch was away is replayed with its last state', async () => {
    const run = world.createRun({ sha });
    const ended = follow(world.connect(), run);
    await watching();
    world.kubernetes.faults.eachWatch((watch) => watch.reset());
    run.end('True', { results: image });
    run.remove();
    expect(await ended).toMatchObject({ imageDigest: 'sha256:5' });
  });

  test('before the end is a failure', async () => {
    const run = world.createRun({ sha });
    const ended = follow(world.connect(), run);
    await watching();
    run.start();
    run.remove();
    await expect(ended).rejects.toMatchObject({
      code: 'pipeline_failed',
      message: `Pipelinerun ${run.name} was deleted before it ended`,
    });
  });

  test('before anybody looked leaves the outcome open', async () => {
    const run = world.createRun({ sha });
    run.end('True', { results: image });
    run.remove();
    await expect(follow(world.connect({ poll: 50 }), run)).rejects.toMatchObject({
      code: 'pipeline_gone',
      message: `Pipelinerun ${run.name} is no longer in the cluster, and how it ended is not known`,
    });
  });

  test('a new run of the same name is another run', async () => {
    const run = world.createRun({ sha, name: 'build-1' });
    run.remove();
    world.createRun({ sha, name: 'build-1' }).end('True', { results: image });
    await expect(follow(world.connect({ poll: 50 }), run)).rejects.toMatchObject({ code: 'pipeline_gone' });
  });
});

describe('several runs of one commit', () => {
  test('a retest takes the place of the run that failed', async () => {
    const first = world.createRun({ sha });
    const ended = follow(world.connect(), first);
    await watching();
    const second = world.createRun({ sha });
    first.end('False', { reason: 'Cancelled' });
    second.start();
    second.end('True', { results: image });
    expect(await ended).toMatchObject({ run: runOf(second), imageDigest: 'sha256:5' });
  });

  test('a run of another template does not', async () => {
    const first = world.createRun({ sha });
    world.createRun({ sha, template: 'lint' }).end('True', { results: image });
    first.end('False', { reason: 'Cancelled' });
    await expect(follow(world.connect(), first)).rejects.toMatchObject({
      message: `Pipelinerun ${first.name} was cancelled`,
    });
  });
});

describe('deadlines', () => {
  test('a run that does not start', async () => {
    const run = world.createRun({ sha });
    run.queue();
    await expect(follow(world.connect({ poll: 100 }), run, { starts: 300 })).rejects.toMatchObject({
      code: 'pipeline_timeout',
      message: `Timeout waiting for pipelinerun ${run.name} to start after 0.3 seconds`,
    });
  });

  test('a run that does not end', async () => {
    const run = world.createRun({ sha });
    run.start();
    await expect(follow(world.connect({ poll: 100 }), run, { ends: 300 })).rejects.toMatchObject({
      code: 'pipeline_timeout',
      message: `Timeout waiting for pipelinerun ${run.name} to complete after 0.3 seconds`,
    });
  });

  test('the last look counts', async () => {
    const run = world.createRun({ sha });
    run.start();
    const rules = [{ verbs: ['get', 'list'], groups: ['*'], resources: ['*'], namespaces: ['tenant'] }];
    const ended = follow(world.connect({ rules }), run, { ends: 300 });
    run.end('True', { results: image });
    expect(await ended).toMatchObject({ imageDigest: 'sha256:5' });
  });

  test('an API that is away for a while does not fail the wait', async () => {
    const run = world.createRun({ sha });
    run.start();
    const ended = follow(world.connect({ poll: 50 }), run);
    await watching();
    const up = await world.down();
    await up();
    world.kubernetes.store.edit(
      RESOURCES.pipelineruns,
      { namespace: 'tenant', name: run.name },
      (object) => {
        const results = [{ name: 'IMAGE_URL', value: 'quay.io/x/y:1' }];
        object.status = { conditions: [{ type: 'Succeeded', status: 'True', reason: 'Succeeded' }], results };
      },
      { part: 'status' },
    );
    expect(await ended).toMatchObject({ imageUrl: 'quay.io/x/y:1', imageDigest: null });
  });

  test('errors of all kinds are waited out', async () => {
    const run = world.createRun({ sha });
    const { faults } = world.kubernetes;
    const get = { verb: 'get', resource: 'pipelineruns' };
    for (const status of [429, 500, 503]) faults.inject(get, { kind: 'status', status });
    faults.inject(get, { kind: 'drop' });
    faults.inject(get, { kind: 'status', status: 502, html: '<html>' });
    faults.inject(get, { kind: 'hang' });
    run.end('True', { results: image });
    expect(await follow(world.connect({ poll: 20, call: 200 }), run)).toMatchObject({ imageDigest: 'sha256:5' });
  });

  test('an API that stays away is named when the time is up', async () => {
    const run = world.createRun({ sha });
    run.start();
    const reasons: string[] = [];
    const ended = follow(world.connect({ poll: 50 }), run, { ends: 500, onProgress: (reason) => reasons.push(reason) });
    await vi.waitFor(() => expect(reasons).toEqual(['Running']), SOON);
    const up = await world.down();
    await expect(ended).rejects.toMatchObject({
      code: 'pipeline_timeout',
      message: expect.stringMatching(
        / to complete after 0\.5 seconds\. The cluster .* cannot be reached: .*ECONNREFUSED/,
      ),
    });
    await up();
  });

  test('a token that expires fails the wait, and says so', async () => {
    const run = world.createRun({ sha });
    const ended = follow(world.connect({ poll: 20 }), run);
    await watching();
    world.revoke('revoke');
    await expect(ended).rejects.toMatchObject({
      code: 'kubernetes_denied',
      message: expect.stringContaining('(401)'),
    });
  });
});
