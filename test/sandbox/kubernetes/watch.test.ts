import { once } from 'node:events';
import { connect } from 'node:http2';
import { CustomObjectsApi, KubeConfig, makeInformer } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cluster, type Frame, RUNS, tenant } from './cluster.ts';

let world: Awaited<ReturnType<typeof cluster>>;
beforeAll(async () => {
  world = await cluster({ bookmarkInterval: 20 });
  await tenant(world);
});
afterAll(() => world.stop());

const version = async () => (await world.call('GET', RUNS)).json.metadata.resourceVersion as string;
const named = (frame: Frame | string) =>
  typeof frame === 'string' ? frame : `${frame.type} ${frame.object.metadata.name}`;

test('a watch resumes from a version, without gaps', async () => {
  const from = await version();
  await world.call('POST', RUNS, world.run('missed'));
  const watch = await world.watch(`${RUNS}?watch=true&resourceVersion=${from}`);
  expect(named(await watch.next())).toBe('ADDED missed');
  await world.call('DELETE', `${RUNS}/missed`);
  expect(named(await watch.next())).toBe('DELETED missed');
  watch.stop();
});

test('leaving the selector looks like deletion, entering like addition', async () => {
  const watch = await world.watch(`${RUNS}?watch=true&labelSelector=team%3Dred&resourceVersion=${await version()}`);
  await world.call('POST', RUNS, world.run('mover', { team: 'red' }));
  const patch = (team: string) =>
    world.call('PATCH', `${RUNS}/mover`, { metadata: { labels: { team } } }, { type: 'application/merge-patch+json' });
  await patch('blue');
  await patch('red');
  expect([await watch.next(), await watch.next(), await watch.next()].map(named)).toEqual([
    'ADDED mover',
    'DELETED mover',
    'ADDED mover',
  ]);
  watch.stop();
});

test('a version that is too old: HTTP 200 and one ERROR frame', async () => {
  await world.call('POST', RUNS, world.run('fresh'));
  world.kubernetes.store.history.compact();
  const watch = await world.watch(`${RUNS}?watch=true&resourceVersion=1`);
  const frame = (await watch.next()) as Frame;
  expect(frame).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
  expect(frame.object.message).toMatch(/^too old resource version: 1 \(\d+\)$/);
  expect(await watch.next()).toBe('end');
});

test('bookmarks for those who ask, an end at the timeout, the initial list as a stream', async () => {
  const watch = await world.watch(
    `${RUNS}?watch=1&resourceVersion=${await version()}&allowWatchBookmarks=true&timeoutSeconds=1`,
  );
  expect(((await watch.next()) as Frame).type).toBe('BOOKMARK');
  let frame: Frame | string;
  do frame = await watch.next();
  while (typeof frame !== 'string');
  expect(frame).toBe('end');
  const streamed = await world.watch(
    `${RUNS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
  );
  const seen: Frame[] = [];
  do seen.push((await streamed.next()) as Frame);
  while (seen.at(-1)?.type === 'ADDED');
  expect(seen.at(-1)?.object.metadata.annotations).toEqual({ 'k8s.io/initial-events-end': 'true' });
  streamed.stop();
});

test('faults: statuses, cut, silent and garbled watches, dropped calls', async () => {
  const { faults } = world.kubernetes;
  faults.inject({ verb: 'list', resource: 'pipelineruns' }, { kind: 'status', status: 503, retryAfter: 2 }, 2);
  const first = await world.call('GET', RUNS);
  expect(first).toMatchObject({ code: 503, json: { reason: 'ServiceUnavailable' } });
  expect(first.headers['retry-after']).toBe('2');
  expect((await world.call('GET', `${RUNS}/fresh`)).code, 'other verbs are untouched').toBe(200);
  expect((await world.call('GET', RUNS)).code).toBe(503);
  expect((await world.call('GET', RUNS)).code).toBe(200);

  faults.inject({ verb: 'list' }, { kind: 'drop' });
  await expect(world.call('GET', RUNS)).rejects.toThrow();
  faults.inject({ verb: 'create' }, { kind: 'drop after' });
  await expect(world.call('POST', RUNS, world.run('unseen'))).rejects.toThrow();
  expect((await world.call('GET', `${RUNS}/unseen`)).code, 'the effect took place').toBe(200);

  const watch = await world.watch(`${RUNS}?watch=true&resourceVersion=${await version()}`);
  expect(faults.eachWatch((open) => open.write('{"type": garb\n'), 'pipelineruns')).toBe(1);
  await expect(watch.next()).rejects.toThrow(SyntaxError);
  faults.eachWatch((open) => open.silence());
  await world.call('POST', RUNS, world.run('unheard'));
  faults.eachWatch((open) => open.reset());
  expect(await watch.next()).not.toMatchObject({ type: 'ADDED' });
});

test('HTTP/2 is offered', async () => {
  const session = connect(world.kubernetes.url, { ca: world.kubernetes.caPem });
  const stream = session.request({ ':path': RUNS, authorization: `Bearer ${world.kubernetes.access.admin}` });
  const [headers] = await once(stream, 'response');
  expect(headers[':status']).toBe(200);
  session.destroy();
});

test('the client library lists, watches and resumes after 410', async () => {
  const config = new KubeConfig();
  config.loadFromFile(world.kubernetes.kubeconfig);
  const api = config.makeApiClient(CustomObjectsApi);
  const where = { group: 'tekton.dev', version: 'v1', namespace: 'tenant', plural: 'pipelineruns' };
  const informer = makeInformer(config, RUNS, () => api.listNamespacedCustomObject(where));
  const added = new Promise<string>((resolve) =>
    informer.on('add', (object) => {
      if (object.metadata?.name === 'by-library') resolve('seen');
    }),
  );
  informer.on('error', () => {});
  await informer.start();
  await world.call('POST', RUNS, world.run('by-library'));
  expect(await added).toBe('seen');
  await informer.stop();
});
