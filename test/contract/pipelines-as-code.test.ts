import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type ContractTenant, contractTenant, label, note, OK, outcome, type Run, template } from './tenant.ts';
import { type ContractWorld, contractWorld, LONG, masked } from './world.ts';

// Nothing here is about time: the limits only end a test that hangs.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

let world: ContractWorld;
const open: ContractTenant[] = [];
beforeAll(async () => {
  world = await contractWorld({ pipelinesAsCode: 'there' });
});
afterAll(() => world?.close());
afterEach(async () => {
  world.parts.gitlab.now.faults.clear();
  for (const tenant of open.splice(0)) await tenant.close();
});

async function tenant(files: Record<string, string>, spec: Record<string, unknown> = {}): Promise<ContractTenant> {
  const made = await contractTenant(world, files, spec);
  open.push(made);
  return made;
}

const MR = 'Merge Request Hook';
/** Longer than any test; ended with what runs it. */
const ENDLESS = 'sleep 600';
const ACCEPTED = '202 accepted';
const SKIPPED = '200 skipping non supported event';
const bare = 'Pipelines as Code CI';
const names = (runs: Run[]) => runs.map((run) => note(run, 'original-prname')).sort();

test('a merge request runs the template of its branch: labels, annotations, calls, statuses, Secret, result', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const { iid, sha } = await t.open();
  expect(await t.answers(MR, 1)).toEqual([ACCEPTED]);
  const [run] = await t.over(1);
  await t.hears('build: running', 'build: success');
  expect(run?.metadata.name).toMatch(/^build-[a-z0-9]{5}$/);
  expect(run?.status).toMatchObject({ results: [{ name: 'SAID', value: `${sha} ${iid} {{ nothing }}` }] });
  expect(outcome(run as Run)).toBe('True Succeeded Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0');
  expect(t.marks(run?.metadata.labels)).toMatchInlineSnapshot(`
    {
      "app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev",
      "event-type": "Merge_Request",
      "original-prname": "build",
      "pull-request": "1",
      "repository": "catalog",
      "sha": "SHA",
      "state": "completed",
      "url-org": "contract",
      "url-repository": "CASE",
    }
  `);
  expect(Object.keys(t.marks(run?.metadata.annotations))).toMatchInlineSnapshot(`
    [
      "branch",
      "controller-info",
      "event-type",
      "git-auth-secret",
      "git-provider",
      "on-event",
      "on-target-branch",
      "original-prname",
      "pull-request",
      "repo-url",
      "repository",
      "scm-reporting-plr-started",
      "sender",
      "sha",
      "sha-title",
      "sha-url",
      "source-branch",
      "source-project-id",
      "source-repo-url",
      "state",
      "target-project-id",
      "url-org",
      "url-repository",
    ]
  `);
  expect(note(run as Run, 'event-type')).toBe('Merge Request');
  expect(note(run as Run, 'branch')).toBe('main');
  expect(note(run as Run, 'source-branch')).toBe('change');
  expect(note(run as Run, 'sender')).toBe(t.author.username);
  // The push and the merge request are two events, worked on side by side.
  await expect.poll(() => t.relay.calls.some(({ path }) => path.includes('/commits/')), LONG).toBe(true);
  const calls = t.relay.calls.map(({ method, path }) =>
    `${method} ${path.split('?')[0]}`
      .replaceAll(sha, 'SHA')
      .replaceAll(`/${t.project.id}`, '/ID')
      .replaceAll(`/${t.author.id}`, '/USER'),
  );
  expect([...new Set(calls)].sort()).toMatchInlineSnapshot(`
    [
      "GET /projects/ID",
      "GET /projects/ID/members/all/USER",
      "GET /projects/ID/merge_requests/ID/diffs",
      "GET /projects/ID/repository/commits/SHA/diff",
      "GET /projects/ID/repository/files/%2Etekton%2Fbuild%2Eyaml/raw",
      "GET /projects/ID/repository/tree",
      "POST /projects/ID/statuses/SHA",
    ]
  `);
  expect(t.described()).toMatchInlineSnapshot(`
    [
      "running "" https://openshift.url.is.not.configured/k8s/ns/CASE/tekton.dev~v1~PipelineRun/build-X",
      "success "successfully validated your commit" https://openshift.url.is.not.configured/k8s/ns/CASE/tekton.dev~v1~PipelineRun/build-X",
    ]
  `);
  const { json } = await world.call(
    'GET',
    `/api/v1/namespaces/${t.name}/secrets/${note(run as Run, 'git-auth-secret')}`,
  );
  const read = (key: string) => Buffer.from(json.data[key], 'base64').toString();
  expect(read('.git-credentials')).toMatch(new RegExp(`^http://git:[^@]+@127\\.0\\.0\\.1:\\d+/contract/${t.name}$`));
  expect(json.metadata.ownerReferences).toMatchObject([{ kind: 'PipelineRun', name: run?.metadata.name }]);
});

test('what starts a run, and what does not: new commit, reopening; new title, merge', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const { iid } = await t.open();
  await t.over(1);
  await t.api('PUT', `/merge_requests/${iid}`, { title: 'Another' });
  expect(await t.answers(MR, 2)).toEqual([ACCEPTED, SKIPPED]);
  await t.commit('change', { file: 'again' });
  await t.over(2);
  await t.api('PUT', `/merge_requests/${iid}`, { state_event: 'close' });
  await t.api('PUT', `/merge_requests/${iid}`, { state_event: 'reopen' });
  await t.over(3);
  await expect
    .poll(async () => (await t.api('GET', `/merge_requests/${iid}`)).detailed_merge_status, LONG)
    .toBe('mergeable');
  await t.api('PUT', `/merge_requests/${iid}/merge`, {});
  const answers = await t.answers(MR, 6);
  expect(answers.filter((answer) => answer === ACCEPTED)).toHaveLength(4);
  expect(answers.filter((answer) => answer === SKIPPED)).toHaveLength(2);
  expect(await t.runs()).toHaveLength(3);
});

test('a wrong or missing token is accepted and forgotten; a push without commits or without a template, too', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  t.relay.meddle(({ event }) => (event === MR ? { token: 'wrong' } : 'drop'));
  await t.open('wrong');
  t.relay.meddle(({ event }) => (event === MR ? { token: '' } : 'drop'));
  await t.open('missing');
  expect(await t.answers(MR, 2)).toEqual([ACCEPTED, ACCEPTED]);
  t.relay.meddle(({ event, body }) =>
    event === MR ? 'drop' : { body: JSON.stringify({ ...JSON.parse(body), commits: [] }) },
  );
  await t.commit('empty', { file: 'empty' }, 'Empty', 'main');
  expect(await t.answers('Push Hook', 1)).toEqual([ACCEPTED]);
  // What comes after them shows that they are over.
  t.relay.meddle();
  await t.commit('pushed', { '.tekton/build.yaml': template(OK) }, 'Push', 'main');
  await t.answers('Push Hook', 2);
  await t.open('right');
  await t.over(1);
  expect((await t.runs()).map((run) => note(run, 'source-branch'))).toEqual(['right']);
  await t.hears('build: running', 'build: success');
});

test('a stranger waits for approval; OWNERS may run', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const stranger = world.parts.gitlab.now.createUser({ username: `stranger-${t.name}` });
  const { id, username } = stranger;
  t.relay.meddle(({ event, body }) => {
    const hook = JSON.parse(body);
    return event === MR ? { body: JSON.stringify({ ...hook, user: { ...hook.user, id, username } }) } : 'drop';
  });
  await t.open();
  await t.hears(`${bare}: pending`);
  expect(t.relay.calls.find(({ path }) => path.includes('/statuses/'))?.body.description).toMatchInlineSnapshot(
    `"Pending approval, waiting for an /ok-to-test"`,
  );
  expect(await t.runs()).toEqual([]);
  await t.commit('main', { OWNERS: `approvers:\n  - ${username}\n` });
  await t.open('second');
  await t.over(1);
});

test('comments: /test by name, /cancel, /retest of what has failed and of what has not', async () => {
  const t = await tenant({ 'build.yaml': template(OK), 'other.yaml': template('exit 1', {}, 'other') });
  const { iid } = await t.open();
  await t.over(2);
  await t.say(iid, 'just words');
  await t.say(iid, '/test build');
  expect(await t.answers('Note Hook', 2)).toEqual([ACCEPTED, ACCEPTED]);
  const three = await t.over(3);
  expect(three.map((run) => label(run, 'event-type')).sort()).toEqual([
    'Merge_Request',
    'Merge_Request',
    'test-comment',
  ]);
  await t.say(iid, '/retest');
  const four = await t.over(4);
  expect(names(four)).toEqual(['build', 'build', 'other', 'other']);
  expect(four.map((run) => label(run, 'event-type')).sort()).toMatchInlineSnapshot(`
    [
      "Merge_Request",
      "Merge_Request",
      "retest-all-comment",
      "test-comment",
    ]
  `);
});

test('/retest when all is well fails the commit', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const { iid } = await t.open();
  await t.over(1);
  await t.hears('build: running', 'build: success');
  await t.say(iid, '/retest');
  await t.hears('build: running', 'build: success', `${bare}: failed`);
  expect(t.relay.calls.findLast(({ path }) => path.includes('/statuses/'))?.body.description).toMatchInlineSnapshot(
    `"failed"`,
  );
  expect(await t.runs()).toHaveLength(1);
});

test('/cancel ends a run with its finally tasks', async () => {
  const t = await tenant({ 'build.yaml': template(ENDLESS) });
  const { iid } = await t.open();
  await t.running(1);
  await t.say(iid, '/cancel');
  const [run] = await t.over(1);
  expect(run?.spec.status).toBe('CancelledRunFinally');
  expect(outcome(run as Run).replace(run?.metadata.name ?? '', 'RUN')).toMatchInlineSnapshot(
    `"False Cancelled PipelineRun "RUN" was cancelled"`,
  );
  await t.hears('build: running', 'build: canceled');
  expect(t.described().at(-1)).toMatchInlineSnapshot(
    `"canceled "cancelled validating this commit" https://openshift.url.is.not.configured/k8s/ns/CASE/tekton.dev~v1~PipelineRun/build-X"`,
  );
});

test('[skip ci] in the message of a merge request does not skip', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  await t.open('change', 'Change\n\n[skip ci]');
  await t.over(1);
});

test('YAML that cannot be read: a note, and nothing runs', async () => {
  const t = await tenant({ 'build.yaml': template(OK), 'deep/bad.yml': 'a: [b\nc: d' });
  const { iid } = await t.open();
  await expect.poll(() => t.notes(iid), LONG).toHaveLength(1);
  expect((await t.notes(iid))[0]?.replace(/(yaml validation error): .*`/, '$1`')).toMatchInlineSnapshot(`
    "> [!CAUTION]
    > There are some errors in your PipelineRun template.

    | PipelineRun | Error |
    |------|-------|
    | .tekton/deep/bad.yml | \`yaml validation error\` |"
  `);
  expect(await t.runs()).toEqual([]);
  expect(t.said()).toEqual([]);
});

test('a reference to nowhere: a failed status under the bare name, no note, nothing runs', async () => {
  const t = await tenant({
    'build.yaml': template('', {}, 'build', '  pipelineRef: {name: nowhere}\n'),
    'other.yaml': template(OK, {}, 'other'),
  });
  const { iid } = await t.open();
  await t.hears(`${bare}: failed`);
  expect(t.relay.calls.find(({ path }) => path.includes('/statuses/'))?.body.description).toMatchInlineSnapshot(
    `"failed"`,
  );
  expect(await t.notes(iid)).toEqual([]);
  expect(await t.runs()).toEqual([]);
});

test('one template Tekton refuses does not stop the other', async () => {
  const t = await tenant({
    'build.yaml': template(OK),
    'refused.yaml': template('echo $(params.absent)', {}, 'refused'),
  });
  await t.open();
  await t.over(1);
  await expect.poll(() => t.said().toSorted(), LONG).toEqual(['build: running', 'build: success', 'refused: failed']);
  const refused = t.relay.calls.find(({ body }) => body?.state === 'failed');
  expect(refused?.body.description).toMatchInlineSnapshot(`"failed"`);
});

test('closing lets a run go on, or cancels it where its template says so', async () => {
  const t = await tenant({
    'goes.yaml': template(ENDLESS, {}, 'goes'),
    'ends.yaml': template(ENDLESS, { 'cancel-in-progress': 'true' }, 'ends'),
  });
  const { iid } = await t.open();
  await t.running(2);
  await t.api('PUT', `/merge_requests/${iid}`, { state_event: 'close' });
  const [ended] = (await t.over(1)).filter((run) => label(run, 'state') === 'completed');
  expect(note(ended as Run, 'original-prname')).toBe('ends');
  expect(ended?.spec.status).toBe('CancelledRunFinally');
  await expect.poll(t.ended, LONG).toEqual(['ends: canceled']);
  await t.running(1);
});

test('a newer commit cancels the run of the older one where the template says so', async () => {
  const t = await tenant({ 'build.yaml': template(ENDLESS, { 'cancel-in-progress': 'true' }) });
  await t.open();
  await t.running(1);
  await t.commit('change', { file: 'newer' });
  const runs = await t.over(1);
  expect(runs.map(({ spec }) => spec.status ?? 'runs').sort()).toEqual(['CancelledRunFinally', 'runs']);
});

test('concurrency_limit: one after the other, the others wait as pending', async () => {
  const t = await tenant({ 'build.yaml': template(`sleep 0.5; ${OK}`) }, { concurrency_limit: 1 });
  for (const branch of ['one', 'two', 'three']) await t.open(branch);
  const runs = await t.over(3);
  const count = (state: string) => t.said().filter((said) => said === `build: ${state}`).length;
  await expect.poll(() => count('success'), LONG).toBe(3);
  expect(count('pending')).toBe(3);
  expect(t.described().find((line) => line.startsWith('pending'))).toMatchInlineSnapshot(
    `"pending "" https://openshift.url.is.not.configured/k8s/ns/CASE/tekton.dev~v1~PipelineRun/build-X"`,
  );
  const times = runs
    .map(({ status: { startTime = '', completionTime = '' } = {} }) => ({ startTime, completionTime }))
    // Times are whole seconds: of two that began in the same one, the first is over first.
    .toSorted((a, b) => `${a.startTime} ${a.completionTime}`.localeCompare(`${b.startTime} ${b.completionTime}`));
  for (const [index, { completionTime }] of times.slice(0, -1).entries()) {
    expect(completionTime <= (times[index + 1]?.startTime ?? '')).toBe(true);
  }
});

test('max-keep-runs: older finished runs go, with their Secrets', async () => {
  const t = await tenant({ 'build.yaml': template(OK, { 'max-keep-runs': '1' }) });
  const { iid } = await t.open();
  const [first] = await t.over(1);
  // Of two that ended in the same second, either is the older one.
  const ended = Date.parse(first?.status?.completionTime ?? '');
  await expect.poll(() => Date.now(), LONG).toBeGreaterThan(ended + 1000);
  await t.say(iid, '/test build');
  await expect.poll(() => t.ended().length, LONG).toBe(2);
  await expect
    .poll(async () => (await t.runs()).map((run) => label(run, 'event-type')), LONG)
    .toEqual(['test-comment']);
  const secrets = async () =>
    (await world.call('GET', `/api/v1/namespaces/${t.name}/secrets`)).json.items.filter(
      ({ metadata }: { metadata: { name: string } }) => metadata.name.startsWith('pac-'),
    ).length;
  await expect.poll(secrets, LONG).toBe(1);
});

test('GitLab in trouble: 5xx and 429 are tried again, 401 gives up', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const { faults } = world.parts.gitlab.now;
  const project = new RegExp(`^/api/v4/projects/${t.project.id}$`);
  faults.call({ path: project, answer: { status: 401, body: { message: '401 Unauthorized' } }, times: 1 });
  await t.open('given-up');
  await expect.poll(() => t.relay.calls.some(({ status }) => status === 401), LONG).toBe(true);
  faults.call({ path: /repository\/tree/, answer: { status: 502 }, times: 1 });
  faults.call({
    path: /repository\/files\/.*\/raw/,
    answer: { status: 429, headers: { 'Retry-After': '1' } },
    times: 1,
  });
  await t.open('patient');
  const [run] = await t.over(1);
  expect(note(run as Run, 'source-branch')).toBe('patient');
});

test('statuses that are refused become notes', async () => {
  const t = await tenant({ 'build.yaml': template(OK) });
  const { faults } = world.parts.gitlab.now;
  const statuses = new RegExp(`^/api/v4/projects/${t.project.id}/statuses/`);
  faults.call({
    path: statuses,
    method: 'POST',
    answer: { status: 403, body: { message: '403 Forbidden' } },
    times: Number.POSITIVE_INFINITY,
  });
  const { iid } = await t.open();
  await t.over(1);
  await expect.poll(async () => (await t.notes(iid)).length, LONG).toBe(2);
});

test('one Repository for a project, and only over http', async () => {
  const t = await tenant({});
  const path = `/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/${t.name}/repositories`;
  const create = async (url: string): Promise<string> => {
    const { code, json } = await world.call('POST', path, {
      apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
      kind: 'Repository',
      metadata: { name: 'second' },
      spec: { url },
    });
    if (code !== 201) return `${code} ${masked(json.message).replaceAll(t.name, 'CASE')}`;
    // The webhook learns of the first one a moment after it was made.
    await world.call('DELETE', `${path}/second`);
    return create(url);
  };
  expect([await create(t.project.url), await create('ssh://git@127.0.0.1/x/y')]).toMatchInlineSnapshot(`
    [
      "400 admission webhook "validation.pipelinesascode.tekton.dev" denied the request: repository already exists with URL: http://HOST/contract/CASE",
      "400 admission webhook "validation.pipelinesascode.tekton.dev" denied the request: URL scheme must be http or https",
    ]
  `);
});
