import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type ContractWorld, contractWorld, LONG, said } from './world.ts';

// Nothing here is about time: the limits only end a test that hangs.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

let world: ContractWorld;
const RUNS = '/apis/tekton.dev/v1/namespaces/tenant/pipelineruns';
const TASK = { name: 'only', taskSpec: { steps: [{ name: 'main', image: 'any', script: 'true' }] } };
/** A run that nobody starts. */
const run = (name: string, labels: Record<string, string> = {}, metadata: object = {}) => ({
  apiVersion: 'tekton.dev/v1',
  kind: 'PipelineRun',
  metadata: { name, labels, ...metadata },
  spec: { status: 'PipelineRunPending', pipelineSpec: { tasks: [TASK] } },
});
const MERGE = { type: 'application/merge-patch+json' };
const names = (list: { items: { metadata: { name: string } }[] }) => list.items.map(({ metadata }) => metadata.name);

/** Tekton's controller may write what it knows of a run at any moment. */
const withoutTekton = <T extends { type: string }>(frames: T[]) => frames.filter(({ type }) => type !== 'MODIFIED');

beforeAll(async () => {
  world = await contractWorld({ pipelinesAsCode: 'not needed' });
  await world.namespace('tenant');
});
afterAll(() => world?.close());
beforeEach(async () => {
  await remove(...names((await world.call('GET', RUNS)).json));
});

async function remove(...all: string[]) {
  for (const name of all) await world.call('DELETE', `${RUNS}/${name}`);
  for (const name of all) {
    await expect.poll(async () => (await world.call('GET', `${RUNS}/${name}`)).code, LONG).toBe(404);
  }
}

test('nobody, a stranger, and an account with few rights', async () => {
  const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/tenant';
  const accounts = '/api/v1/namespaces/tenant/serviceaccounts';
  const name = 'few';
  await world.call('POST', accounts, { metadata: { name } });
  const rules = [{ apiGroups: ['tekton.dev'], resources: ['pipelineruns'], verbs: ['get', 'list', 'watch'] }];
  await world.call('POST', `${rbac}/roles`, { metadata: { name }, rules });
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  const subjects = [{ kind: 'ServiceAccount', name, namespace: 'tenant' }];
  await world.call('POST', `${rbac}/rolebindings`, { metadata: { name }, roleRef, subjects });
  const asked = await world.call('POST', `${accounts}/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 3600 },
  });
  expect(asked).toMatchObject({
    code: 201,
    json: {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name, namespace: 'tenant' },
      status: { token: expect.any(String), expirationTimestamp: expect.stringMatching(/Z$/) },
    },
  });
  const few = { token: asked.json.status.token as string };
  const [nobody, stranger] = [{ token: '' }, { token: 'a-token-of-nobody' }];
  await expect.poll(async () => (await world.call('GET', RUNS, undefined, few)).code, LONG).toBe(200);
  await world.call('POST', RUNS, run('one'));
  const answers = [
    await world.call('GET', RUNS, undefined, nobody),
    await world.call('GET', '/apis', undefined, nobody),
    await world.call('GET', '/livez', undefined, nobody),
    await world.call('GET', RUNS, undefined, stranger),
    await world.call('GET', '/livez', undefined, stranger),
    await world.call('GET', RUNS, undefined, few),
    await world.call('GET', `${RUNS}/one`, undefined, few),
    await world.call('PATCH', `${RUNS}/one`, {}, { ...few, ...MERGE }),
    await world.call('PATCH', `${RUNS}/one/status`, {}, { ...few, ...MERGE }),
    await world.call('DELETE', `${RUNS}/one`, undefined, few),
    await world.call('POST', RUNS, run('two'), few),
    await world.call('GET', '/api/v1/namespaces/tenant/pods', undefined, few),
    await world.call('GET', '/api/v1/namespaces/tenant/pods/x/log', undefined, few),
    await world.call('GET', '/apis/tekton.dev/v1/pipelineruns', undefined, few),
    await world.call('GET', '/apis/tekton.dev/v1/namespaces/other/pipelineruns?watch=1', undefined, few),
    await world.call('GET', '/api/v1/namespaces/tenant/secrets/gitlab', undefined, few),
    await world.call('GET', '/metrics', undefined, few),
  ];
  expect(answers.map(said)).toMatchInlineSnapshot(`
    [
      "403 Forbidden pipelineruns.tekton.dev is forbidden: User "system:anonymous" cannot list resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 Forbidden forbidden: User "system:anonymous" cannot get path "/apis"",
      "200 ok",
      "401 Unauthorized Unauthorized",
      "401 Unauthorized Unauthorized",
      "200 PipelineRunList",
      "200 PipelineRun",
      "403 Forbidden pipelineruns.tekton.dev "one" is forbidden: User "system:serviceaccount:tenant:few" cannot patch resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 Forbidden pipelineruns.tekton.dev "one" is forbidden: User "system:serviceaccount:tenant:few" cannot patch resource "pipelineruns/status" in API group "tekton.dev" in the namespace "tenant"",
      "403 Forbidden pipelineruns.tekton.dev "one" is forbidden: User "system:serviceaccount:tenant:few" cannot delete resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 Forbidden pipelineruns.tekton.dev is forbidden: User "system:serviceaccount:tenant:few" cannot create resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 Forbidden pods is forbidden: User "system:serviceaccount:tenant:few" cannot list resource "pods" in API group "" in the namespace "tenant"",
      "403 Forbidden pods "x" is forbidden: User "system:serviceaccount:tenant:few" cannot get resource "pods/log" in API group "" in the namespace "tenant"",
      "403 Forbidden pipelineruns.tekton.dev is forbidden: User "system:serviceaccount:tenant:few" cannot list resource "pipelineruns" in API group "tekton.dev" at the cluster scope",
      "403 Forbidden pipelineruns.tekton.dev is forbidden: User "system:serviceaccount:tenant:few" cannot watch resource "pipelineruns" in API group "tekton.dev" in the namespace "other"",
      "403 Forbidden secrets "gitlab" is forbidden: User "system:serviceaccount:tenant:few" cannot get resource "secrets" in API group "" in the namespace "tenant"",
      "403 Forbidden forbidden: User "system:serviceaccount:tenant:few" cannot get path "/metrics"",
    ]
  `);
  const { json } = await world.call('GET', RUNS, undefined, nobody);
  expect(json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: expect.any(String),
    reason: 'Forbidden',
    details: { group: 'tekton.dev', kind: 'pipelineruns' },
    code: 403,
  });
  expect((await world.call('GET', RUNS, undefined, stranger)).json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Unauthorized',
    reason: 'Unauthorized',
    code: 401,
  });
  await remove('one');
});

test('an object gets what a server gives it; what nobody knows is pruned', async () => {
  const made = await world.call('POST', RUNS, {
    ...run('given'),
    metadata: { generateName: 'given-', labels: { a: 'b' }, nonsense: 1 },
    spec: { ...run('given').spec, nonsense: { x: 1 } },
    status: { conditions: [] },
    nonsense: 1,
  });
  expect(made.code).toBe(201);
  const { json } = made;
  expect(json.metadata).toMatchObject({
    name: expect.stringMatching(/^given-[b-z2-9]{5}$/),
    generateName: 'given-',
    namespace: 'tenant',
    uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
    resourceVersion: expect.stringMatching(/^\d+$/),
    creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    generation: 1,
    managedFields: [
      { operation: 'Update', apiVersion: 'tekton.dev/v1', fieldsType: 'FieldsV1', time: expect.any(String) },
    ],
  });
  expect(json.metadata.managedFields[0].fieldsV1).toMatchObject({ 'f:spec': expect.any(Object) });
  expect(json).not.toHaveProperty('nonsense');
  expect(json.metadata).not.toHaveProperty('nonsense');
  expect(json.spec).not.toHaveProperty('nonsense');
  expect(json.spec).toMatchObject({
    timeouts: { pipeline: '1h0m0s' },
    taskRunTemplate: { serviceAccountName: 'default' },
  });
  const strict = await world.call('POST', `${RUNS}?fieldValidation=Strict`, { ...run('strict'), nonsense: 1 });
  expect(said(strict)).toMatchInlineSnapshot(
    `"400 BadRequest PipelineRun in version "v1" cannot be handled as a PipelineRun: strict decoding error: unknown field "nonsense""`,
  );
  await remove(json.metadata.name);
});

test('refusals are Status objects in the words of a server', async () => {
  await world.call('POST', RUNS, run('one'));
  const { uid } = (await world.call('GET', `${RUNS}/one`)).json.metadata;
  const answers = [
    await world.call('GET', `${RUNS}/two`),
    await world.call('POST', RUNS, run('one')),
    await world.call('POST', RUNS.replace('tenant', 'nowhere'), run('one')),
    await world.call('POST', RUNS, run('Bad_Name')),
    await world.call('POST', RUNS, run('long', { a: 'x'.repeat(64) })),
    await world.call('POST', RUNS, run('key', { 'a b': 'x' })),
    await world.call('POST', RUNS, { ...run('one'), metadata: { name: 'x', namespace: 'other' } }),
    await world.call('POST', RUNS, { ...run('one'), metadata: {} }),
    await world.call('POST', RUNS, '{"a":'),
    await world.call('POST', RUNS, run('one'), { type: 'text/plain' }),
    await world.call('GET', `${RUNS}?labelSelector=${encodeURIComponent('a=(b')}`),
    await world.call('GET', `${RUNS}?fieldSelector=spec.x%3Dy`),
    await world.call('GET', `${RUNS}?continue=nonsense`),
    await world.call('GET', `${RUNS}?limit=x`),
    await world.call('GET', `${RUNS}?resourceVersion=x`),
    await world.call('DELETE', `${RUNS}/one`, { preconditions: { uid: 'other' } }),
    await world.call('DELETE', `${RUNS}/one`, { preconditions: { uid, resourceVersion: '1' } }),
    await world.call('PUT', `${RUNS}/one`, run('one', {}, { resourceVersion: '1' })),
    await world.call('PUT', `${RUNS}/one`, run('one')),
    await world.call('PATCH', `${RUNS}/one`, { metadata: { resourceVersion: '1' } }, MERGE),
    await world.call('PATCH', `${RUNS}/one`, {}, { type: 'application/strategic-merge-patch+json' }),
    await world.call('PATCH', `${RUNS}/one`, [{ op: 'test', path: '/kind', value: 'x' }], {
      type: 'application/json-patch+json',
    }),
    await world.call('PATCH', `${RUNS}/two`, {}, MERGE),
    await world.call('DELETE', `${RUNS}/two`),
    await world.call('GET', '/apis/tekton.dev/v1/namespaces/tenant/nothings'),
    await world.call('GET', '/apis/nothing.dev/v1'),
    await world.call('POST', `${RUNS}/one`, {}),
  ];
  expect(answers.map(said)).toMatchInlineSnapshot(`
    [
      "404 NotFound pipelineruns.tekton.dev "two" not found",
      "409 AlreadyExists pipelineruns.tekton.dev "one" already exists",
      "404 NotFound namespaces "nowhere" not found",
      "422 Invalid PipelineRun.tekton.dev "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      "422 Invalid PipelineRun.tekton.dev "long" is invalid: metadata.labels: Invalid value: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": must be no more than 63 bytes",
      "422 Invalid PipelineRun.tekton.dev "key" is invalid: metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      "400 BadRequest the namespace of the provided object does not match the namespace sent on the request",
      "422 Invalid PipelineRun.tekton.dev "" is invalid: metadata.name: Required value: name or generateName is required",
      "400 BadRequest the object provided is unrecognized (must be of type PipelineRun): couldn't get version/kind; json parse error: unexpected end of JSON input ({"a":)",
      "415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
      "400 BadRequest unable to parse requirement: found '(', expected: identifier",
      "400 BadRequest field label not supported: spec.x",
      "400 BadRequest invalid continue token: continue key is not valid",
      "400 BadRequest strconv.ParseInt: parsing "x": invalid syntax",
      "400 BadRequest invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax",
      "409 Conflict Operation cannot be fulfilled on PipelineRun.tekton.dev "one": the UID in the precondition (other) does not match the UID in record (UID). The object might have been deleted and then recreated",
      "409 Conflict Operation cannot be fulfilled on PipelineRun.tekton.dev "one": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (N). The object might have been modified",
      "409 Conflict Operation cannot be fulfilled on pipelineruns.tekton.dev "one": the object has been modified; please apply your changes to the latest version and try again",
      "422 Invalid pipelineruns.tekton.dev "one" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update",
      "409 Conflict Operation cannot be fulfilled on pipelineruns.tekton.dev "one": the object has been modified; please apply your changes to the latest version and try again",
      "415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
      "422 Invalid the server rejected our request due to an error in our request",
      "404 NotFound pipelineruns.tekton.dev "two" not found",
      "404 NotFound pipelineruns.tekton.dev "two" not found",
      "404 404 page not found",
      "404 404 page not found",
      "400 BadRequest the object provided is unrecognized (must be of type PipelineRun): Object 'Kind' is missing in '{}' ({})",
    ]
  `);
  expect((await world.call('GET', `${RUNS}/two`)).json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'pipelineruns.tekton.dev "two" not found',
    reason: 'NotFound',
    details: { name: 'two', group: 'tekton.dev', kind: 'pipelineruns' },
    code: 404,
  });
  await remove('one');
});

test('lists: pages of one moment, what remains, selectors', async () => {
  for (const [name, labels] of [
    ['a', { app: 'x', tier: '1' }],
    ['b', { app: 'y' }],
    ['c', { tier: '1' }],
    ['d', {}],
  ] as const) {
    await world.call('POST', RUNS, run(name, labels));
  }
  const select = async (query: string) => names((await world.call('GET', `${RUNS}?${query}`)).json).join('');
  const label = (selector: string) => select(`labelSelector=${encodeURIComponent(selector)}`);
  expect(
    await Promise.all(['app=x', 'app!=x', 'app in (x, y),tier', 'app notin (x)', '!app', 'app,!tier'].map(label)),
  ).toEqual(['a', 'bcd', 'a', 'bcd', 'cd', 'b']);
  expect(await select('fieldSelector=metadata.name%3Dc')).toBe('c');
  const first = await world.call('GET', `${RUNS}?limit=2`);
  expect(first.json).toMatchObject({
    kind: 'PipelineRunList',
    apiVersion: 'tekton.dev/v1',
    metadata: { remainingItemCount: 2, continue: expect.any(String), resourceVersion: expect.stringMatching(/^\d+$/) },
  });
  expect(names(first.json)).toEqual(['a', 'b']);
  await remove('d');
  const second = await world.call('GET', `${RUNS}?limit=2&continue=${first.json.metadata.continue}`);
  expect(names(second.json), 'the moment of the first page').toEqual(['c', 'd']);
  expect(second.json.metadata.resourceVersion).toBe(first.json.metadata.resourceVersion);
  expect(second.json.metadata).not.toHaveProperty('remainingItemCount');
  expect(second.json.metadata.continue ?? '').toBe('');
  const selected = await world.call('GET', `${RUNS}?limit=1&labelSelector=tier`);
  expect(selected.json.metadata, 'nobody counts what a selector hides').not.toHaveProperty('remainingItemCount');
  expect(first.json.items[0]).toMatchObject({ kind: 'PipelineRun', apiVersion: 'tekton.dev/v1' });
  await remove('a', 'b', 'c');
});

test('a watch from a version that is too old is told in the stream; a version that is still to come is waited for in vain', async () => {
  await world.call('POST', RUNS, run('fresh'));
  const { resourceVersion } = (await world.call('GET', `${RUNS}?limit=1`)).json.metadata;
  world.imitated?.kubernetes.now.store.history.compact();
  const { code, frames } = await world.frames(`${RUNS}?watch=1&resourceVersion=1`, 'ERROR', 2);
  expect(code).toBe(200);
  expect(frames).toEqual([
    {
      type: 'ERROR',
      object: {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: expect.stringMatching(/^too old resource version: 1 \(\d+\)$/),
        reason: 'Expired',
        code: 410,
      },
    },
  ]);
  const future = await world.call('GET', `${RUNS}?resourceVersion=${Number(resourceVersion) + 100_000}`);
  expect(
    said({ ...future, json: { ...future.json, message: future.json.message.replaceAll(/\d+/g, 'N') } }),
  ).toMatchInlineSnapshot(`"504 Timeout Timeout: Too large resource version: N, current: N"`);
  await remove('fresh');
});

test('a watch goes on from a version, and shows what leaves the selector as deleted', async () => {
  const { resourceVersion } = (await world.call('GET', RUNS)).json.metadata;
  const team = (to: string) => world.call('PATCH', `${RUNS}/mover`, { metadata: { labels: { team: to } } }, MERGE);
  await world.call('POST', RUNS, run('mover', { team: 'red' }));
  await team('blue');
  await team('red');
  await remove('mover');
  const path = `${RUNS}?watch=true&labelSelector=team%3Dred&resourceVersion=${resourceVersion}`;
  const { frames } = await world.frames(path, 'DELETED', 2);
  expect(withoutTekton(frames).map(({ type, object }) => `${type} ${object.metadata.labels.team}`)).toEqual([
    'ADDED red',
    'DELETED red',
    'ADDED red',
    'DELETED red',
  ]);
  const versions = frames.map(({ object }) => Number(object.metadata.resourceVersion));
  expect(versions).toEqual(versions.toSorted((a, b) => a - b));
});

test('a watch that ends by itself; a list as a stream', async () => {
  const { resourceVersion } = (await world.call('GET', RUNS)).json.metadata;
  const short = `${RUNS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`;
  const ended = await world.frames(short, 'ERROR', 1);
  expect(ended.frames.every(({ type }) => type === 'BOOKMARK')).toBe(true);
  await world.call('POST', RUNS, run('one'));
  const streamed = `${RUNS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
  const { frames } = await world.frames(streamed, 'BOOKMARK', 1);
  expect(withoutTekton(frames)).toMatchObject([
    { type: 'ADDED', object: { metadata: { name: 'one' } } },
    { type: 'BOOKMARK', object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } },
  ]);
  await remove('one');
});

test('changes: generation, status on its own, what is not changed stays', async () => {
  const { json: made } = await world.call('POST', RUNS, run('one', { a: '1', b: '2' }));
  const patch = async (body: unknown, type = 'merge-patch+json', part = '') =>
    (await world.call('PATCH', `${RUNS}/one${part}`, body, { type: `application/${type}` })).json;
  const { labels } = (await patch({ metadata: { labels: { a: null, c: '3' } } })).metadata;
  expect(labels).toMatchObject({ b: '2', c: '3' });
  expect(labels).not.toHaveProperty('a');
  const json = [
    { op: 'test', path: '/metadata/labels/b', value: '2' },
    { op: 'replace', path: '/metadata/labels/b', value: '9' },
    { op: 'add', path: '/metadata/annotations', value: { 'x/y': 'z' } },
  ];
  const second = await patch(json, 'json-patch+json');
  expect(second.metadata).toMatchObject({ labels: { b: '9' }, annotations: { 'x/y': 'z' }, generation: 1 });
  // Tekton writes a label and a status of its own some time after the run was made.
  const version = async () => (await patch({ metadata: { labels: { b: '9' } } })).metadata.resourceVersion;
  const stays = async () => {
    const before = await version();
    return (await version()) === before;
  };
  await expect.poll(stays, LONG).toBe(true);
  const viaStatus = await patch(
    { metadata: { labels: { b: 'no' } }, spec: { timeouts: { pipeline: '2h' } }, status: { pipelineResults: [] } },
    undefined,
    '/status',
  );
  expect(viaStatus.spec.timeouts).toEqual(made.spec.timeouts);
  expect(viaStatus.metadata.generation).toBe(1);
  expect((await patch({ status: { startTime: '2020-01-01T00:00:00Z' } })).status?.startTime).not.toBe(
    '2020-01-01T00:00:00Z',
  );
  const begun = await patch({ spec: { status: null } });
  expect(begun.metadata.generation).toBe(2);
  await remove('one');
});

test('deleting: an answer, finalizers, preconditions, what is owned', async () => {
  const { json: owner } = await world.call('POST', RUNS, run('owner', {}, { finalizers: ['example.com/hold'] }));
  const owned = { apiVersion: 'tekton.dev/v1', kind: 'PipelineRun', name: 'owner', uid: owner.metadata.uid };
  await world.call('POST', '/api/v1/namespaces/tenant/secrets', {
    metadata: { name: 'owned', ownerReferences: [owned] },
    stringData: { token: 'abcd' },
  });
  const secret = await world.call('GET', '/api/v1/namespaces/tenant/secrets/owned');
  expect(secret.json).toMatchObject({ type: 'Opaque', data: { token: 'YWJjZA==' } });
  expect(secret.json).not.toHaveProperty('stringData');
  const held = await world.call('DELETE', `${RUNS}/owner`, { preconditions: { uid: owner.metadata.uid } });
  expect(held).toMatchObject({
    code: 200,
    json: { kind: 'PipelineRun', metadata: { deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 0 } },
  });
  expect((await world.call('GET', `${RUNS}/owner`)).code).toBe(200);
  await world.call('PATCH', `${RUNS}/owner`, { metadata: { finalizers: null } }, MERGE);
  expect((await world.call('GET', `${RUNS}/owner`)).code).toBe(404);
  await expect
    .poll(async () => (await world.call('GET', '/api/v1/namespaces/tenant/secrets/owned')).code, LONG)
    .toBe(404);
  const { json: plain } = await world.call('POST', RUNS, run('plain'));
  expect((await world.call('DELETE', `${RUNS}/plain`)).json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: 'plain', group: 'tekton.dev', kind: 'pipelineruns', uid: plain.metadata.uid },
  });
});

test('what clients ask first', async () => {
  expect((await world.call('GET', '/version')).json).toMatchObject({ major: '1', minor: '36', gitVersion: 'v1.36.3' });
  const groups = (await world.call('GET', '/apis')).json.groups.map((group: { name: string }) => group.name);
  expect(groups).toEqual(
    expect.arrayContaining(['tekton.dev', 'pipelinesascode.tekton.dev', 'rbac.authorization.k8s.io']),
  );
  const { json } = await world.call('GET', '/apis/tekton.dev/v1');
  const runs = json.resources.find((resource: { name: string }) => resource.name === 'pipelineruns');
  expect(runs).toMatchObject({
    singularName: 'pipelinerun',
    namespaced: true,
    kind: 'PipelineRun',
    shortNames: ['pr', 'prs'],
  });
  expect([...runs.verbs].sort()).toEqual([
    'create',
    'delete',
    'deletecollection',
    'get',
    'list',
    'patch',
    'update',
    'watch',
  ]);
  const asked = await world.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb: 'list', group: 'tekton.dev', resource: 'pipelineruns', namespace: 'tenant' } },
  });
  expect(asked).toMatchObject({ code: 201, json: { status: { allowed: true } } });
});
