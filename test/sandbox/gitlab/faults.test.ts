import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startGitLab } from '../../../src/sandbox/gitlab/server.ts';
import { caller, commitFile, receiver, scene } from './scene.ts';

test('an answer instead of the effect, so many times', async () => {
  const { gitlab, api, at } = await scene();
  const fault = gitlab.faults.call({
    method: 'GET',
    path: /^\/api\/v4\/projects\/catalogs\/stage\/index$/,
    answer: { status: 429, headers: { 'Retry-After': '7' }, body: { message: { error: 'Too many requests' } } },
    skip: 1,
    times: 2,
  });
  const answers = [];
  for (let n = 0; n < 4; n += 1) answers.push(await api('GET', at));
  expect(answers.map((each) => each.status)).toEqual([200, 429, 429, 200]);
  expect(answers[1]?.headers.get('retry-after')).toBe('7');
  expect(fault.hits).toBe(2);
  gitlab.faults.call({ path: /./, answer: { status: 503, body: '<html>down</html>' } });
  expect((await api('GET', at)).headers.get('content-type')).toBe('text/html');
});

test('the effect happens and the answer is lost', async () => {
  const { gitlab, api, at, commit, checked, merge, request } = await scene();
  await commit('one', { x: '1' }, 'main');
  gitlab.faults.call({
    method: 'POST',
    path: /merge_requests$/,
    when: 'after',
    answer: { status: 502, body: 'Bad Gateway' },
  });
  const lost = await api('POST', `${at}/merge_requests`, { source_branch: 'one', target_branch: 'main', title: 'x' });
  expect(lost.status).toBe(502);
  expect((await checked(1)).state).toBe('opened');
  gitlab.faults.call({ path: /\/merge$/, when: 'after', answer: 'drop' });
  await expect(merge(1)).rejects.toThrow('fetch failed');
  expect((await request(1)).state).toBe('merged');
});

test('a push is cut off after its effect', async () => {
  const { gitlab, git, remote, dir, tip } = await scene();
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  const sha = await commitFile(git, clone, 'x', 'x');
  const push = () => git('-C', clone, 'push', 'origin', 'HEAD:one');
  gitlab.faults.call({ method: 'POST', path: /git-receive-pack$/, answer: { status: 413 } });
  await expect(push()).rejects.toThrow(/HTTP 413/);
  expect(await tip('one')).toBeUndefined();
  gitlab.faults.refusePush({ message: 'Commit must follow the rules.' });
  await expect(push()).rejects.toThrow(
    /remote: GitLab: Commit must follow the rules\.[\s\S]*pre-receive hook declined/,
  );
  gitlab.faults.call({ method: 'POST', path: /git-receive-pack$/, when: 'after', answer: 'drop' });
  await expect(push()).rejects.toThrow();
  expect(await tip('one')).toBe(sha);
});

test('merges are refused, and merged without saying as what', async () => {
  const { gitlab, commit, open, checked, merge } = await scene();
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await checked(iid);
  gitlab.faults.refuseMerge({ status: 405, times: 2 });
  gitlab.faults.refuseMerge({ status: 422, message: 'protected branch' });
  const answers = [await merge(iid), await merge(iid), await merge(iid)];
  expect(answers.map((each) => [each.status, each.body.message])).toEqual([
    [405, '405 Method Not Allowed'],
    [405, '405 Method Not Allowed'],
    [422, 'protected branch'],
  ]);
  gitlab.faults.hideMergeShas();
  expect((await merge(iid)).body).toMatchObject({ state: 'merged', merge_commit_sha: null, squash_commit_sha: null });
});

test('mergeability is stuck until it is not', async () => {
  const { gitlab, commit, open, checked } = await scene();
  const fault = gitlab.faults.stuckMergeability();
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  expect((await checked(iid)).detailed_merge_status).toBe('checking');
  fault.remove();
  expect((await checked(iid)).detailed_merge_status).toBe('mergeable');
});

test('hooks are lost or come twice', async () => {
  const { gitlab, path, commit } = await scene();
  const hooks = await receiver();
  gitlab.addHook(path, { url: hooks.url });
  const drop = gitlab.faults.dropHooks({ event: 'Push Hook', times: 1 });
  await commit('one', { x: '1' }, 'main');
  await drop.struck;
  await gitlab.settled();
  expect(hooks.waiting).toEqual([]);
  gitlab.faults.repeatHooks({ times: 1 });
  await commit('one', { y: '1' });
  await gitlab.settled();
  const [first, second] = hooks.waiting;
  expect(first?.body).toEqual(second?.body);
  expect(first?.headers['x-gitlab-event-uuid']).toBe(second?.headers['x-gitlab-event-uuid']);
});

test('a second start goes on with what was there', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gitlab-'));
  const before = await startGitLab({ dir: join(dir, 'server') });
  const bot = before.createUser({ username: 'bot' });
  await before.seedProject({ path: 'g/p', files: { a: 'a' }, members: { bot: 30 } });
  const at = '/projects/g%2Fp';
  const first = caller(before.url, bot.token);
  await first('POST', `${at}/repository/commits`, {
    branch: 'one',
    start_branch: 'main',
    commit_message: 'm',
    actions: [{ action: 'create', file_path: 'x', content: 'x' }],
  });
  before.faults.stuckMergeability();
  await first('POST', `${at}/merge_requests`, { source_branch: 'one', target_branch: 'main', title: 't' });
  await before.settled();
  await before.close();
  const gitlab = await startGitLab({ dir: join(dir, 'server'), port: before.port });
  onTestFinished(async () => {
    await gitlab.close();
    await rm(dir, { recursive: true });
  });
  expect([gitlab.url, gitlab.adminToken]).toEqual([before.url, before.adminToken]);
  await gitlab.settled();
  expect((await caller(gitlab.url, bot.token)('GET', `${at}/merge_requests/1`)).body).toMatchObject({
    title: 't',
    detailed_merge_status: 'mergeable',
    author: { username: 'bot' },
  });
});

test('closing leaves nothing behind and takes no time, whatever is under way', async () => {
  const { path, gitlab, commit } = await scene();
  const hooks = await receiver();
  gitlab.addHook(path, { url: hooks.url });
  await commit('one', { x: '1' }, 'main');
  await gitlab.close();
  await expect(fetch(gitlab.url)).rejects.toThrow('fetch failed');
});
