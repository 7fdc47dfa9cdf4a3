import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { cluster, RUNS, tenant } from './cluster.ts';

let world: Awaited<ReturnType<typeof cluster>>;
beforeAll(async () => {
  world = await cluster();
  await tenant(world);
});
afterAll(() => world.stop());
beforeEach(() => world.call('DELETE', RUNS));

test('an object gets what a server gives it', async () => {
  const { code, json } = await world.call('POST', RUNS, {
    kind: 'PipelineRun',
    metadata: { generateName: 'build-' },
    spec: {},
    status: { conditions: [] },
  });
  expect(code).toBe(201);
  expect(json.metadata).toMatchObject({
    name: expect.stringMatching(/^build-[b-z2-9]{5}$/),
    namespace: 'tenant',
    uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
    resourceVersion: expect.stringMatching(/^\d+$/),
    creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    generation: 1,
    managedFields: [expect.objectContaining({ operation: 'Update', fieldsType: 'FieldsV1' })],
  });
  expect(json.status, 'status comes by its subresource only').toBeUndefined();
  const status = await world.call(
    'PATCH',
    `${RUNS}/${json.metadata.name}/status`,
    { spec: { a: 1 }, status: { startTime: 'x' } },
    { type: 'application/merge-patch+json' },
  );
  expect(status.json).toMatchObject({ spec: {}, status: { startTime: 'x' } });
});

test('nobody, a stranger and an account with few rights', async () => {
  const few = world.kubernetes.access.serviceAccount('tenant', 'worker', [
    { verbs: ['get', 'list', 'watch'], groups: ['tekton.dev'], resources: ['pipelineruns'], namespaces: ['tenant'] },
  ]);
  await world.call('POST', RUNS, world.run('one'));
  const as = (token: string) => ({ token });
  const answers = [
    await world.call('GET', RUNS, undefined, as('')),
    await world.call('GET', '/apis', undefined, as('')),
    await world.call('GET', RUNS, undefined, as('wrong')),
    await world.call('GET', RUNS, undefined, as(few.token)),
    await world.call('PATCH', `${RUNS}/one`, {}, { ...as(few.token), type: 'application/merge-patch+json' }),
    await world.call('GET', '/api/v1/namespaces/tenant/pods', undefined, as(few.token)),
    await world.call('GET', '/apis/tekton.dev/v1/pipelineruns', undefined, as(few.token)),
  ];
  expect(answers.map(({ code, json }) => `${code} ${json.message ?? json.kind}`)).toMatchInlineSnapshot(`
    [
      "403 pipelineruns.tekton.dev is forbidden: User "system:anonymous" cannot list resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 forbidden: User "system:anonymous" cannot get path "/apis"",
      "401 Unauthorized",
      "200 PipelineRunList",
      "403 pipelineruns.tekton.dev "one" is forbidden: User "system:serviceaccount:tenant:worker" cannot patch resource "pipelineruns" in API group "tekton.dev" in the namespace "tenant"",
      "403 pods is forbidden: User "system:serviceaccount:tenant:worker" cannot list resource "pods" in API group "" in the namespace "tenant"",
      "403 pipelineruns.tekton.dev is forbidden: User "system:serviceaccount:tenant:worker" cannot list resource "pipelineruns" in API group "tekton.dev" at the cluster scope",
    ]
  `);
  world.kubernetes.access.revoke('tenant', 'worker');
  expect((await world.call('GET', RUNS, undefined, as(few.token))).code).toBe(401);
});

test('a role bound to a service account, its token, and the end of both', async () => {
  const inTenant = (group: string, plural: string) => `/${group}/namespaces/tenant/${plural}`;
  const rbac = 'apis/rbac.authorization.k8s.io/v1';
  const accounts = inTenant('api/v1', 'serviceaccounts');
  const name = 'reader';
  await world.call('POST', accounts, { metadata: { name } });
  const asked = await world.call('POST', `${accounts}/${name}/token`, { spec: { expirationSeconds: 3600 } });
  expect(asked).toMatchObject({ code: 201, json: { kind: 'TokenRequest', status: { token: expect.any(String) } } });
  const as = { token: asked.json.status.token as string };
  expect((await world.call('GET', RUNS, undefined, as)).code).toBe(403);

  const rules = [{ apiGroups: ['tekton.dev'], resources: ['pipelineruns'], verbs: ['list'] }];
  await world.call('POST', inTenant(rbac, 'roles'), { metadata: { name }, rules });
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  const subjects = [{ kind: 'ServiceAccount', name, namespace: 'tenant' }];
  await world.call('POST', inTenant(rbac, 'rolebindings'), { metadata: { name }, roleRef, subjects });
  expect((await world.call('GET', RUNS, undefined, as)).code).toBe(200);
  expect((await world.call('GET', `${RUNS}/one`, undefined, as)).code).toBe(403);

  await world.call('DELETE', `${inTenant(rbac, 'rolebindings')}/${name}`);
  expect((await world.call('GET', RUNS, undefined, as)).code).toBe(403);
  await world.call('DELETE', `${accounts}/${name}`);
  expect((await world.call('GET', RUNS, undefined, as)).code).toBe(401);
  expect((await world.call('POST', `${accounts}/${name}/token`, {})).code).toBe(404);
});

test('label selectors', async () => {
  for (const [name, labels] of Object.entries({
    a: { app: 'x', tier: '1' },
    b: { app: 'y' },
    c: { tier: '1' },
    d: {},
  })) {
    await world.call('POST', RUNS, world.run(name, labels as Record<string, string>));
  }
  const select = async (selector: string) => {
    const { json } = await world.call('GET', `${RUNS}?labelSelector=${encodeURIComponent(selector)}`);
    return json.items.map((item: { metadata: { name: string } }) => item.metadata.name).join('');
  };
  expect(await select('app=x')).toBe('a');
  expect(await select('app==y')).toBe('b');
  expect(await select('app!=x')).toBe('bcd');
  expect(await select('app in (x, y),tier')).toBe('a');
  expect(await select('app notin (x)')).toBe('bcd');
  expect(await select('!app')).toBe('cd');
  expect(await select('app,!tier')).toBe('b');
  const named = await world.call('GET', `${RUNS}?fieldSelector=metadata.name%3Dc`);
  expect(named.json.items).toHaveLength(1);
});

test('pages of one list show one moment; old and wrong pages are told apart', async () => {
  for (const name of ['a', 'b', 'c']) await world.call('POST', RUNS, world.run(name));
  const first = await world.call('GET', `${RUNS}?limit=2`);
  expect(first.json.metadata).toMatchObject({ remainingItemCount: 1, continue: expect.any(String) });
  await world.call('DELETE', `${RUNS}/c`);
  await world.call('POST', RUNS, world.run('d'));
  const token = encodeURIComponent(first.json.metadata.continue);
  const second = await world.call('GET', `${RUNS}?limit=2&continue=${token}`);
  expect(second.json.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual(['c']);
  expect(second.json.metadata.continue).toBeUndefined();
  expect((await world.call('GET', `${RUNS}?continue=nonsense`)).code).toBe(400);
  const version = first.json.metadata.resourceVersion;
  const exact = `${RUNS}?resourceVersionMatch=Exact&resourceVersion=${version}`;
  expect((await world.call('GET', exact)).json.items).toHaveLength(3);
  world.kubernetes.store.history.compact();
  expect(await world.call('GET', `${RUNS}?limit=2&continue=${token}`)).toMatchObject({
    code: 410,
    json: { reason: 'Expired' },
  });
  expect(await world.call('GET', exact)).toMatchObject({ code: 410, json: { reason: 'Expired' } });
});

test('patches: merge, json, apply', async () => {
  await world.call('POST', RUNS, world.run('one', { a: '1', b: '2' }));
  const patch = (body: unknown, type: string) =>
    world.call('PATCH', `${RUNS}/one`, body, { type: `application/${type}` });
  expect((await patch({ metadata: { labels: { a: null, c: '3' } } }, 'merge-patch+json')).json.metadata.labels).toEqual(
    { b: '2', c: '3' },
  );
  const json = await patch(
    [
      { op: 'test', path: '/metadata/labels/b', value: '2' },
      { op: 'replace', path: '/metadata/labels/b', value: '9' },
      { op: 'add', path: '/metadata/annotations', value: { 'x/y': 'z' } },
    ],
    'json-patch+json',
  );
  expect(json.json.metadata).toMatchObject({ labels: { b: '9' }, annotations: { 'x/y': 'z' } });
  expect(
    (await patch([{ op: 'remove', path: '/metadata/annotations/x~1y' }], 'json-patch+json')).json.metadata.annotations,
  ).toEqual({});
  expect((await patch([{ op: 'test', path: '/spec', value: 1 }], 'json-patch+json')).code).toBe(422);
  const applied = await world.call(
    'PATCH',
    `${RUNS}/two?fieldManager=x&force=true`,
    'spec: {pipelineSpec: {tasks: []}}',
    { type: 'application/apply-patch+yaml' },
  );
  expect(applied.code).toBe(201);
});

test('secrets encode stringData and are read back by key', async () => {
  const { json } = await world.call('POST', '/api/v1/namespaces/tenant/secrets', {
    metadata: { name: 's' },
    stringData: { token: 'abcd' },
  });
  expect(json).toMatchObject({ type: 'Opaque', data: { token: 'YWJjZA==' } });
  expect(json.stringData).toBeUndefined();
});

test('a finalizer makes deletion two steps; what is owned goes with its owner', async () => {
  const { json: run } = await world.call('POST', RUNS, world.run('one', {}, { finalizers: ['chains.tekton.dev'] }));
  await world.call('POST', '/apis/tekton.dev/v1/namespaces/tenant/taskruns', {
    kind: 'TaskRun',
    metadata: {
      name: 'one-build',
      ownerReferences: [{ apiVersion: 'tekton.dev/v1', kind: 'PipelineRun', name: 'one', uid: run.metadata.uid }],
    },
    spec: {},
  });
  const gone = new Promise<void>((resolve) => {
    const end = world.kubernetes.store.subscribe(({ type, resource }) => {
      if (type === 'DELETED' && resource === RESOURCES.taskruns) {
        end();
        resolve();
      }
    });
  });
  expect((await world.call('DELETE', `${RUNS}/one`)).json.metadata.deletionTimestamp).toEqual(expect.any(String));
  expect((await world.call('GET', `${RUNS}/one`)).code).toBe(200);
  await world.call(
    'PATCH',
    `${RUNS}/one`,
    { metadata: { finalizers: null } },
    { type: 'application/merge-patch+json' },
  );
  expect((await world.call('GET', `${RUNS}/one`)).code).toBe(404);
  await gone;
});

test('discovery answers what clients ask first', async () => {
  expect((await world.call('GET', '/version')).json.gitVersion).toBe('v1.36.3');
  expect((await world.call('GET', '/apis')).json.groups.map((group: { name: string }) => group.name)).toEqual([
    'rbac.authorization.k8s.io',
    'tekton.dev',
    'pipelinesascode.tekton.dev',
  ]);
  const names = (await world.call('GET', '/apis/tekton.dev/v1')).json.resources.map(
    (resource: { name: string }) => resource.name,
  );
  expect(names).toEqual(['pipelineruns', 'pipelineruns/status', 'taskruns', 'taskruns/status']);
  expect((await world.call('GET', '/livez', undefined, { token: '' })).text).toBe('ok');
});

test('a restart keeps objects, tokens and certificates', async () => {
  const first = await cluster();
  await tenant(first);
  await first.call('POST', RUNS, first.run('one'));
  const { json: before } = await first.call('GET', `${RUNS}/one`);
  const token = first.kubernetes.access.admin;
  await first.stop({ keep: true });
  const second = await cluster({ dir: first.dir });
  const { json: after } = await second.call('GET', `${RUNS}/one`, undefined, { token });
  expect(after).toEqual(before);
  expect(second.kubernetes.caPem).toBe(first.kubernetes.caPem);
  const { json: list } = await second.call('GET', RUNS);
  expect(list.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  await second.stop();
});
