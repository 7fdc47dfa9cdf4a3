import { afterEach, expect, test } from 'vitest';
import { type KubeObject, RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { RunStatus } from '../../../src/sandbox/tekton/schema.ts';
import { pac, SHA, template } from './forge.ts';

// What holds for Pipelines-as-Code itself as well is in test/contract.
let world: Awaited<ReturnType<typeof pac>>;
afterEach(() => world.stop());

const OK = 'printf "%s" "$(params.said)" > $(results.said.path)';
const state = (run: KubeObject) => run.metadata.labels?.['pipelinesascode.tekton.dev/state'];
const completed = (count: number) => (runs: KubeObject[]) =>
  runs.filter((run) => state(run) === 'completed').length === count;
const specStatus = (run: KubeObject) => (run.spec as { status?: string }).status;
const nameOf = (run: KubeObject) => run.metadata.annotations?.['pipelinesascode.tekton.dev/original-prname'];

test('a merge request starts the template of its source branch; statuses and state follow', async () => {
  world = await pac();
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(OK));
  expect(await world.mr()).toBe('202 accepted');
  await world.until(completed(1));
  const [run] = world.runs();
  expect(run?.metadata.name).toMatch(/^build-[a-z0-9]{5}$/);
  expect(run?.status).toMatchObject({ results: [{ name: 'SAID', value: `hello ${SHA} 12 {{ nothing }}` }] });
  expect(run?.metadata.labels).toMatchObject({
    'app.kubernetes.io/managed-by': 'pipelinesascode.tekton.dev',
    'pipelinesascode.tekton.dev/event-type': 'Merge_Request',
    'pipelinesascode.tekton.dev/pull-request': '12',
    'pipelinesascode.tekton.dev/sha': SHA,
    'pipelinesascode.tekton.dev/url-org': 'grp-sub',
    'pipelinesascode.tekton.dev/url-repository': 'catalog',
    'pipelinesascode.tekton.dev/repository': 'catalog',
    'pipelinesascode.tekton.dev/original-prname': 'build',
    'pipelinesascode.tekton.dev/state': 'completed',
  });
  expect(run?.metadata.labels).not.toHaveProperty(['pipelinesascode.tekton.dev/branch']);
  expect(run?.metadata.annotations).toMatchObject({
    'pipelinesascode.tekton.dev/event-type': 'Merge Request',
    'pipelinesascode.tekton.dev/url-org': 'grp/sub',
    'pipelinesascode.tekton.dev/branch': 'v4.19',
    'pipelinesascode.tekton.dev/source-branch': 'iib-1',
    'pipelinesascode.tekton.dev/sender': 'Robot',
    'pipelinesascode.tekton.dev/git-provider': 'gitlab',
    'pipelinesascode.tekton.dev/scm-reporting-plr-started': 'true',
  });
  expect(world.gitlab.said()).toEqual([
    'Pipelines as Code CI / build: running',
    'Pipelines as Code CI / build: success',
  ]);
  expect(world.gitlab.calls.slice(0, 5)).toEqual([
    'GET /projects/1',
    'GET /projects/1',
    'GET /projects/1/members/all/7',
    'GET /projects/1/repository/tree',
    'GET /projects/1/repository/files/%2Etekton%2Fbuild%2Eyaml/raw',
  ]);
  const secret = world.store
    .list(RESOURCES.secrets, 'tenant')
    .find(({ metadata }) => metadata.name.startsWith('pac-gitauth-'));
  expect(secret?.metadata.ownerReferences?.[0]?.uid).toBe(run?.metadata.uid);
  const read = (key: string) =>
    Buffer.from((secret?.data as Record<string, string> | undefined)?.[key] ?? '', 'base64').toString();
  expect(read('.git-credentials')).toBe(world.gitlab.project.replace('http://', 'http://git:gitlab-token@'));
  expect(read('git-provider-token')).toBe('gitlab-token');
});

test('what starts nothing', async () => {
  world = await pac();
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(OK));
  world.gitlab.files.set('refs/heads/v4.19:.tekton/build.yaml', template(OK));
  expect(await world.mr({ action: 'update' }), 'a new title').toBe('200 skipping non supported event');
  expect(await world.mr({ action: 'merge' })).toBe('200 skipping non supported event');
  expect(await world.send('Pipeline Hook', {})).toBe('200 skipping non supported event');
  expect(world.gitlab.calls).toEqual([]);
  expect(await world.send('Merge Request Hook', { object_attributes: {} }), 'nonsense').toBe('202 accepted');
  expect(await world.push({ commits: [] }), 'a bare new branch').toBe('202 accepted');
  const { mergeRequest } = await import('./forge.ts');
  const body = mergeRequest(world.gitlab.project);
  expect(await world.send('Merge Request Hook', body, 'wrong')).toBe('202 accepted');
  expect(await world.send('Merge Request Hook', body, '')).toBe('202 accepted');
  expect(await world.send('Merge Request Hook', mergeRequest('http://127.0.0.1/other'))).toBe('202 accepted');
  expect(world.gitlab.calls).toEqual([]);
  await world.push();
  await world.mr({ target_branch: 'other' });
  expect(world.runs()).toEqual([]);
  expect(world.gitlab.statuses).toEqual([]);
  expect(world.store.list(RESOURCES.events, 'tenant').map(({ reason }) => reason)).toEqual([
    'RepositoryNoMatch',
    'RepositoryNoMatch',
  ]);
});

test('references within .tekton are inlined; a template Tekton refuses does not stop the other', async () => {
  world = await pac();
  const referring = template(OK).replace(/ {2}pipelineSpec:[\s\S]*/, '  pipelineRef: {name: line}\n');
  const pipeline =
    'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: line}\nspec: {params: [{name: said}], tasks: [{name: a, taskRef: {name: do}}]}\n';
  const task =
    'apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: do}\nspec: {steps: [{name: main, image: any, script: "true"}]}\n';
  world.gitlab.files.set('iib-1:.tekton/all.yaml', [referring, pipeline, task].join('---\n'));
  world.gitlab.files.set('iib-1:.tekton/refused.yaml', template('echo $(params.absent)', {}, 'refused'));
  await world.mr();
  await world.until(completed(1));
  expect(world.gitlab.said().sort()).toEqual([
    'Pipelines as Code CI / build: running',
    'Pipelines as Code CI / build: success',
    'Pipelines as Code CI / refused: failed',
  ]);
});

test('CEL, paths and labels choose; two templates of one name never match', async () => {
  world = await pac();
  const add = (name: string, annotations: Record<string, string>) =>
    world.gitlab.files.set(`iib-1:.tekton/${name}.yaml`, template(OK, annotations, name));
  add('cel', {
    'on-cel-expression':
      'event == "pull_request" && source_branch.startsWith("iib-") && !("nothing".pathChanged()) && (target_branch.matches("^v4\\\\.") || false)',
  });
  add('cel-paths', { 'on-cel-expression': 'files.all.exists(x, x.endsWith(".json")) && "configs/**".pathChanged()' });
  add('cel-no', { 'on-cel-expression': 'event == "push"' });
  add('cel-broken', { 'on-cel-expression': 'unknown == 1' });
  add('paths', { 'on-path-change': '[configs/***]' });
  add('paths-no', { 'on-path-change': '[docs/*]' });
  add('twin', {});
  world.gitlab.files.set('iib-1:.tekton/twin-2.yaml', template('true', {}, 'twin'));
  world.gitlab.changed.push({ new_path: 'configs/a/catalog.json' });
  await world.mr();
  expect(world.gitlab.notes).toEqual([]);
  expect(world.runs().map(nameOf).sort()).toEqual(['cel', 'cel-paths', 'paths']);
  expect(world.gitlab.calls).toContain('GET /projects/1/merge_requests/12/diffs');
  await world.until(completed(3));
});

test('a failing run fails the commit; /retest runs it again, then fails the commit of a good one', async () => {
  world = await pac();
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template('exit 1'));
  await world.mr();
  await world.until(completed(1));
  expect(world.gitlab.said().at(-1)).toBe('Pipelines as Code CI / build: failed');
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(OK));
  expect(await world.say('/retest')).toBe('202 accepted');
  await world.until(completed(2));
  expect(
    world
      .runs()
      .map((run) => run.metadata.labels?.['pipelinesascode.tekton.dev/event-type'])
      .sort(),
  ).toEqual(['Merge_Request', 'retest-all-comment']);
  await world.say('/retest');
  expect(world.runs()).toHaveLength(2);
  expect(world.gitlab.said().at(-1)).toBe('Pipelines as Code CI: failed');
  await world.say('/test build');
  expect(world.runs()).toHaveLength(3);
  expect(await world.say('just words')).toBe('202 accepted');
  await world.until(completed(3));
});

test('[skip ci]: heeded for pushes, not for merge requests of 0.41', async () => {
  world = await pac();
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(OK));
  world.gitlab.files.set('refs/heads/v4.19:.tekton/build.yaml', template(OK, { 'on-event': '[push]' }));
  const commit = { id: SHA, url: '', title: 'x', message: 'x\n\n[skip ci]' };
  await world.push({ commits: [commit] });
  expect(world.runs()).toEqual([]);
  expect(world.gitlab.said()).toEqual(['Pipelines as Code CI: canceled']);
  await world.push();
  await world.mr({ last_commit: commit });
  expect(world.runs()).toHaveLength(2);
  await world.until(completed(2));
});

test('concurrency_limit: runs wait Pending and follow one another in order', async () => {
  world = await pac({}, { concurrency_limit: 1 });
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(`sleep 0.1; ${OK}`));
  const started: string[] = [];
  world.store.subscribe(({ resource, object }) => {
    const { name } = object.metadata;
    if (
      resource === RESOURCES.pipelineruns &&
      RunStatus.parse(object.status ?? {}).startTime &&
      !started.includes(name)
    )
      started.push(name);
  });
  const created: string[] = [];
  for (let index = 0; index < 3; index++) {
    await world.mr();
    created.push(world.runs().find(({ metadata }) => !created.includes(metadata.name))?.metadata.name ?? '');
  }
  expect(
    world.runs().filter((run) => specStatus(run) === 'PipelineRunPending' && state(run) === 'queued').length,
  ).toBeGreaterThan(0);
  await world.until(completed(3));
  expect(started).toEqual(created);
  expect(world.gitlab.said().filter((said) => said.endsWith('pending'))).toHaveLength(3);
});

test('faults: lost hooks, silence, a held queue', async () => {
  world = await pac();
  world.gitlab.files.set('iib-1:.tekton/build.yaml', template(OK));
  world.faults.dropNext();
  expect(await world.mr()).toBe('202 accepted');
  world.faults.silence();
  await world.say('/test');
  expect(world.gitlab.calls).toEqual([]);
  world.faults.speak();
  world.faults.hold();
  await world.mr();
  expect(world.runs().map(state)).toEqual(['queued']);
  world.faults.release();
  await world.until(completed(1));
});
