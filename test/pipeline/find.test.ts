import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { clusterWorld, Onlooker, SOON, type World } from './world.ts';

const sha = 'c'.repeat(40);
const { signal } = new AbortController();
let world: World;

beforeEach(async () => {
  world = await clusterWorld();
});
afterEach(() => world.stop());

/** Resolves once the client's watch is open. */
const watching = (count = 1) => vi.waitFor(() => expect(world.kubernetes.faults.watches.size).toBe(count), SOON);

test('a run that is there already, and no other', async () => {
  const run = world.createRun({ sha });
  world.createRun({ sha: 'd'.repeat(40) });
  world.createRun({ sha, template: 'something-else' });
  expect(await world.connect().findRun({ sha, template: 'catalog-on-pull-request', appears: 2_000, signal })).toEqual({
    name: run.name,
    uid: run.uid,
    sha,
    template: 'catalog-on-pull-request',
  });
});

test('a run that appears later is seen at once, by the watch', async () => {
  const cluster = world.connect();
  const found = cluster.findRun({ sha, appears: 20_000, signal });
  await watching();
  const run = world.createRun({ sha });
  expect(await found).toMatchObject({ uid: run.uid });
  await watching(0);
});

test('without a watch, polling finds it', async () => {
  const rules = [
    { verbs: ['get', 'list'], groups: ['tekton.dev'], resources: ['pipelineruns'], namespaces: ['tenant'] },
  ];
  const found = world.connect({ poll: 20, rules }).findRun({ sha, appears: 20_000, signal });
  const run = world.createRun({ sha });
  expect(await found).toMatchObject({ uid: run.uid });
});

test('of two runs, one failed and one not, the good one', async () => {
  const [first, second] = [world.createRun({ sha }), world.createRun({ sha })];
  first.end('False');
  second.start();
  expect(await world.connect().findRun({ sha, appears: 2_000, signal })).toMatchObject({ uid: second.uid });
});

test('a template with a long name', async () => {
  const template = `${'very-'.repeat(14)}long-name`;
  const run = world.createRun({ sha, template });
  expect(await world.connect().findRun({ sha, template, appears: 2_000, signal })).toMatchObject({
    uid: run.uid,
    template,
  });
});

test('no run: the failure says what to check', async () => {
  world.createRun({ sha, template: 'something-else' });
  const found = world.connect({ poll: 50 }).findRun({ sha, template: 'catalog', appears: 200, signal });
  await expect(found).rejects.toMatchObject({
    code: 'pipeline_not_started',
    message:
      `No pipelineruns found for commit ${sha} made from the template "catalog" in namespace tenant after 0.2 seconds ` +
      '(there are runs of: something-else). Check that the webhook of the GitLab project delivers to Pipelines-as-Code, ' +
      'that the user who opens the merge request is a member of the project, that a PipelineRun in .tekton/ matches its ' +
      'event, branches and paths, and that the Repository object stands in this namespace.',
  });
});

test('an API that is away for a while is waited out', async () => {
  const cluster = world.connect({ poll: 20 });
  const up = await world.down();
  const found = cluster.findRun({ sha, appears: 30_000, signal });
  await up();
  const run = world.createRun({ sha });
  expect(await found).toMatchObject({ uid: run.uid });
});

test('an API that stays away is named at the deadline', async () => {
  const cluster = world.connect({ poll: 20 });
  const { host } = new URL(world.kubernetes.url);
  const up = await world.down();
  await expect(cluster.findRun({ sha, appears: 100, signal })).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    message: expect.stringMatching(
      new RegExp(
        `^Failed to fetch pipelineruns for commit ${sha}: The cluster ${host} cannot be reached: .*ECONNREFUSED`,
      ),
    ),
  });
  await up();
});

test('an expired token and a missing right end the wait at once, and say what to mend', async () => {
  const wait = { sha, appears: 60_000, signal };
  const cluster = world.connect();
  world.revoke('revoke');
  await expect(cluster.findRun(wait)).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringContaining(
      'does not accept the token (401): the one in cluster.tokenFile is wrong or has expired',
    ),
  });
  await expect(world.connect({ rules: [] }).findRun(wait)).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringContaining('its role needs the verb "list" on "pipelineruns"'),
  });
});

describe('refused by a server', () => {
  const refuse = (times: number) =>
    world.kubernetes.faults.inject({ verb: 'list' }, { kind: 'status', status: 403 }, times);
  const readiness = (status: number) =>
    world.kubernetes.faults.inject({ path: /^\/readyz$/ }, { kind: 'status', status });

  test('that is not ready, which has not read its roles yet: is no denial, to whom it knows as little as to a newcomer', async () => {
    const cluster = world.connect();
    for (const status of [403, 500]) {
      refuse(1);
      readiness(status);
      await expect(cluster.check()).rejects.toMatchObject({
        code: 'kubernetes_unavailable',
        message: expect.stringContaining(
          '(403): its role needs the verb "list" on "pipelineruns", or the server has just',
        ),
      });
      await cluster.check();
    }
  });

  test('that has become ready in between: is asked again', async () => {
    refuse(1);
    await world.connect().check();
  });

  test.each([200, 404])('whose readiness is answered by %i: is denied', async (status) => {
    refuse(2);
    readiness(status);
    await expect(world.connect().check()).rejects.toMatchObject({
      code: 'kubernetes_denied',
      message: expect.stringContaining('its role needs the verb "list" on "pipelineruns"'),
    });
  });
});

test('a token that is renewed in its file is taken up', async () => {
  const cluster = world.connect();
  await cluster.check();
  world.revoke('renew');
  await cluster.check();

  // Even when it is renewed while a call with the old one is on its way.
  const { faults } = world.kubernetes;
  const arrived = new Onlooker('');
  faults.inject({ verb: 'list', path: arrived }, { kind: 'drop' });
  faults.inject({ verb: 'list' }, { kind: 'delay', milliseconds: 200 });
  const checked = cluster.check();
  await vi.waitFor(() => expect(arrived.count).toBe(1), SOON);
  world.revoke('renew');
  await checked;
  expect(arrived.count).toBe(2);
});

test('the check', async () => {
  const cluster = world.connect();
  await cluster.check();
  const target = { verb: 'list', resource: 'pipelineruns' };
  world.kubernetes.faults.inject(target, { kind: 'status', status: 429, retryAfter: 7 });
  await expect(cluster.check()).rejects.toMatchObject({ code: 'kubernetes_unavailable', retryAfter: 7 });
  world.kubernetes.faults.inject(target, { kind: 'status', status: 502, html: '<h1>Bad Gateway</h1>' });
  await expect(cluster.check()).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    message: expect.stringMatching(/answered 502 to list pipelineruns$/),
  });
  world.kubernetes.faults.inject(target, { kind: 'status', status: 200, html: '<h1>Log in</h1>' });
  await expect(cluster.check()).rejects.toMatchObject({ code: 'kubernetes_unavailable' });
  world.kubernetes.faults.inject(target, { kind: 'hang' });
  await expect(world.connect({ call: 100 }).check()).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    message: expect.stringContaining('no answer in time'),
  });
});

test('an abort ends the wait with its reason', async () => {
  const stop = new AbortController();
  const found = world.connect().findRun({ sha, appears: 60_000, signal: stop.signal });
  await watching();
  stop.abort(new Error('cancelled'));
  await expect(found).rejects.toThrow('cancelled');
  await watching(0);
});
