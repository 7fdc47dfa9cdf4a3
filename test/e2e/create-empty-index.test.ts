import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authorityIn } from '../messaging/certificates.ts';
import { consume, type Received } from '../messaging/consumer.ts';
import { type Rabbit, rabbitIn } from '../messaging/rabbitmq.ts';
import { databaseOf, imageOf, movedTags, reasonsOf } from './support/content.ts';
import { type World, world } from './support/world.ts';

const STATES = '/queue/states';

let here: World;
let rabbit: Rabbit;
const dir = mkdtempSync(join(tmpdir(), 'indexwright-broker-'));
beforeAll(async () => {
  const authority = await authorityIn(join(dir, 'authority'));
  rabbit = await rabbitIn(join(dir, 'rabbit'), { ca: authority.ca, ...(await authority.issue('server')) });
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, 'guest\n');
  const messaging = {
    urls: [rabbit.url],
    buildDestination: STATES,
    batchDestination: STATES,
    user: 'guest',
    passwordFile,
  };
  [here] = await Promise.all([world({ settings: () => ({ messaging }) }), rabbit.start()]);
});
afterAll(async () => {
  await here?.close();
  await rabbit?.close();
  rmSync(dir, { recursive: true, force: true });
});

const index = () => here.sandbox.seeded.fromIndex;
const artifact = (tag: string) => `${here.sandbox.at.registry}/indexwright/index-db:example-index-${tag}`;
const empty = async (more: object = {}) =>
  here.end(await here.post('create-empty-index', { from_index: index(), ...more }));

const FIRST = [
  'The request was initiated',
  'Preparing request for build',
  'Resolving the container images',
  'Building the index image for the following arches: amd64, arm64, ppc64le, s390x',
  'Cloning Git repository',
  'Fetching empty index database',
];
const LAST = [
  'Creating empty FBC catalog directory',
  'Validating empty catalog',
  'Writing build metadata',
  'Committing changes to Git repository',
  'Waiting on KONFLUX build',
  'Copying built index to IIB registry',
  'Pushing updated index database',
  'The empty index image was successfully created',
];

test('without an empty database kept for the index a new one is made', async () => {
  const before = await here.photograph();
  const ended = await empty({ labels: { extra: 'yes', 'com.redhat.index.delivery.version': 'v4.99' } });
  expect(reasonsOf(ended)).toEqual([...FIRST, 'Creating empty index database from from_index', ...LAST]);
  const { registry } = here.sandbox.at;
  expect(ended).toMatchObject({
    arches: ['amd64', 'arm64', 'ppc64le', 's390x'],
    index_image: `${registry}/indexwright/iib-build:${ended.id}`,
    index_image_resolved: null,
  });
  const after = await here.photograph();
  expect(after.branches).toEqual(before.branches);
  expect(after.openMergeRequests).toEqual([]);
  expect(movedTags(before.tags, after.tags)).toEqual([
    `indexwright/iib-build:${ended.id}`,
    `indexwright/index-db:example-index-v4.19-${ended.id}`,
  ]);
  const { configs, labels } = await imageOf(here, ended.index_image);
  expect(configs).toEqual({ '.gitkeep': '' });
  expect(labels).toMatchObject({
    extra: 'yes',
    'com.redhat.index.delivery.version': 'v4.99',
    'com.redhat.index.delivery.distribution_scope': 'prod',
  });
  const database = await databaseOf(here, index(), { requestId: ended.id });
  expect(database.packages).toEqual([]);
  expect(database.annotations).toEqual({ request_id: String(ended.id), request_type: 'create_empty_index' });

  const client = await here.sandbox.registryClient();
  await client.point(artifact('empty'), database.digest);
});

test('an empty database that is kept for the index is used', async () => {
  const ended = await empty();
  expect(reasonsOf(ended)).toEqual([...FIRST, ...LAST]);
  expect((await databaseOf(here, index(), { requestId: ended.id })).packages).toEqual([]);
  expect((await databaseOf(here, index())).packages).toEqual(['harbor-pilot', 'lighthouse']);
});

test('one that is not empty is not', async () => {
  const client = await here.sandbox.registryClient();
  await client.point(artifact('empty'), (await databaseOf(here, index())).digest);
  const ended = await empty();
  expect(reasonsOf(ended)).toEqual([...FIRST, 'Creating empty index database from from_index', ...LAST]);
  expect((await databaseOf(here, index(), { requestId: ended.id })).packages).toEqual([]);
});

test('the worker tells the broker of every state of a request, in order, and of the beginning and end of its batch', async () => {
  const ended = await empty();
  const isOurs = ({ properties }: Received) => properties.batch === ended.batch;
  const consumer = await consume(rabbit.url, STATES);
  try {
    await consumer.until((received) => received.some(({ body }) => body.batch === ended.batch && isEnd(body)));
    const told = consumer.received.filter(isOurs).map(({ body }) => body);
    const states = ended.state_history.map(({ state, state_reason }) => `${state}: ${state_reason}`).reverse();
    expect(
      told.filter(({ id }) => id === ended.id).map(({ state, state_reason }) => `${state}: ${state_reason}`),
    ).toEqual(states);
    expect(told.map(({ id }) => id)).toEqual([ended.id, undefined, ...states.slice(1).map(() => ended.id), undefined]);
    expect(told.filter(({ id }) => id === undefined).map(({ state }) => state)).toEqual(['in_progress', 'complete']);
    expect(told.at(-2)).toMatchObject({ index_image: ended.index_image, arches: ended.arches, user: null });
  } finally {
    await consumer.close();
  }
});

const isEnd = ({ id, state }: { id?: number; state: string }) => id === undefined && state !== 'in_progress';
