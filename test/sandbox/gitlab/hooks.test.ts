import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commitFile, receiver, scene } from './scene.ts';

const ZEROS = '0'.repeat(40);

async function hooked(settings: Parameters<typeof scene>[0] = {}) {
  const world = await scene(settings);
  const hooks = await receiver();
  world.gitlab.addHook(world.path, { url: hooks.url, token: 'hook-secret' });
  return { ...world, hooks };
}

test('a push by git', async () => {
  const { git, remote, dir, hooks, gitlab, path, project, bot } = await hooked();
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  const sha = await commitFile(git, clone, 'new.txt', 'new\n');
  await git('-C', clone, 'push', '--quiet', 'origin', 'main');
  const { headers, body } = await hooks.next('Push Hook');
  expect(headers).toMatchObject({
    'x-gitlab-token': 'hook-secret',
    'x-gitlab-event-uuid': expect.stringMatching(/^[0-9a-f-]{36}$/),
    'x-gitlab-webhook-uuid': expect.stringMatching(/^[0-9a-f-]{36}$/),
    'idempotency-key': expect.any(String),
    'content-type': 'application/json',
  });
  expect(body).toMatchObject({
    object_kind: 'push',
    ref: 'refs/heads/main',
    before: project.sha,
    after: sha,
    checkout_sha: sha,
    user_id: bot.id,
    user_username: 'bot',
    project_id: project.id,
    project: { web_url: `${gitlab.url}/${path}`, default_branch: 'main', path_with_namespace: path },
    total_commits_count: 1,
    commits: [
      {
        id: sha,
        title: 'write new.txt',
        url: `${gitlab.url}/${path}/-/commit/${sha}`,
        author: { name: 'A Person', email: 'person@example.com' },
        added: ['new.txt'],
        modified: [],
        removed: [],
      },
    ],
  });
});

test('a branch without commits of its own, and its end', async () => {
  const { api, at, hooks, project } = await hooked();
  await api('POST', `${at}/repository/branches`, { branch: 'empty', ref: 'main' });
  const { body } = await hooks.next('Push Hook');
  expect(body).toMatchObject({
    ref: 'refs/heads/empty',
    before: ZEROS,
    after: project.sha,
    commits: [],
    total_commits_count: 0,
  });
  await api('DELETE', `${at}/repository/branches/empty`);
  const gone = await hooks.next('Push Hook');
  expect(gone.body).toMatchObject({ before: project.sha, after: ZEROS, checkout_sha: null, commits: [] });
});

test('more than three branches at once are silent, more than twenty commits are cut', async () => {
  const { git, remote, dir, hooks, gitlab } = await hooked();
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  await git('-C', clone, 'push', '--quiet', 'origin', ...[1, 2, 3, 4].map((n) => `HEAD:refs/heads/b${n}`));
  await gitlab.settled();
  expect(hooks.waiting).toEqual([]);
  for (let n = 0; n < 22; n += 1) await git('-C', clone, 'commit', '--quiet', '--allow-empty', '-m', `commit ${n}`);
  await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:refs/heads/many');
  const { body } = await hooks.next('Push Hook');
  expect([body.commits.length, body.total_commits_count, body.commits.at(-1).title]).toEqual([20, 22, 'commit 21']);
});

test('the life of a merge request', async () => {
  const { api, at, commit, open, checked, merge, hooks, gitlab, path, project, bot } = await hooked();
  const first = await commit('one', { x: '1' }, 'main');
  const iid = await open('one', { labels: 'a' });
  const opened = await hooks.next('Merge Request Hook');
  const side = { web_url: `${gitlab.url}/${path}`, path_with_namespace: path, id: project.id };
  expect(opened.body).toMatchObject({
    object_kind: 'merge_request',
    user: { id: bot.id, username: 'bot' },
    project: { ...side, git_http_url: `${gitlab.url}/${path}.git`, default_branch: 'main' },
    object_attributes: {
      action: 'open',
      iid,
      state: 'opened',
      source_branch: 'one',
      target_branch: 'main',
      source_project_id: project.id,
      target_project_id: project.id,
      last_commit: { id: first, title: 'change x', url: `${gitlab.url}/${path}/-/commit/${first}` },
      source: side,
      target: side,
      url: `${gitlab.url}/${path}/-/merge_requests/${iid}`,
    },
    labels: [{ title: 'a' }],
  });
  expect(opened.body.object_attributes).not.toHaveProperty('oldrev');

  const second = await commit('one', { y: '1' });
  const pushed = await hooks.next('Merge Request Hook');
  expect(pushed.body.object_attributes).toMatchObject({ action: 'update', oldrev: first, last_commit: { id: second } });

  await api('PUT', `${at}/merge_requests/${iid}`, { add_labels: 'b' });
  const labelled = await hooks.next('Merge Request Hook');
  expect(labelled.body).toMatchObject({
    object_attributes: { action: 'update' },
    changes: { labels: { previous: [{ title: 'a' }], current: [{ title: 'a' }, { title: 'b' }] } },
  });
  expect(labelled.body.object_attributes).not.toHaveProperty('oldrev');

  await api('PUT', `${at}/merge_requests/${iid}`, { state_event: 'close' });
  expect((await hooks.next('Merge Request Hook')).body.object_attributes).toMatchObject({
    action: 'close',
    state: 'closed',
  });
  await api('PUT', `${at}/merge_requests/${iid}`, { state_event: 'reopen' });
  expect((await hooks.next('Merge Request Hook')).body.object_attributes.action).toBe('reopen');
  await api('POST', `${at}/merge_requests/${iid}/notes`, { body: '/retest' });
  expect((await hooks.next('Note Hook')).body).toMatchObject({
    object_kind: 'note',
    object_attributes: { note: '/retest', noteable_type: 'MergeRequest' },
    merge_request: {
      iid,
      state: 'opened',
      last_commit: { id: second },
      source_branch: 'one',
      target_project_id: project.id,
    },
  });
  await checked(iid);
  await merge(iid);
  expect((await hooks.next('Merge Request Hook')).body.object_attributes).toMatchObject({
    action: 'merge',
    state: 'merged',
  });
  const landed = await hooks.next('Push Hook', (body) => body.ref === 'refs/heads/main');
  expect(landed.body.commits.at(-1).title).toBe("Merge branch 'one' into 'main'");
  await hooks.next('Push Hook', (body) => body.after === ZEROS);
});

test('a rebase tells the old head', async () => {
  const { api, at, commit, open, checked, hooks } = await hooked({ merge_method: 'ff' });
  const old = await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await commit('main', { y: '1' });
  await api('PUT', `${at}/merge_requests/${iid}/rebase`);
  const { body } = await hooks.next('Merge Request Hook', (each) => each.object_attributes.action === 'update');
  expect(body.object_attributes.oldrev).toBe(old);
  expect(body.object_attributes.last_commit.id).toBe((await checked(iid)).sha);
});

test('hooks ask for what they want, and never show their secret', async () => {
  const { root, at, commit, gitlab } = await scene();
  const hooks = await receiver();
  const made = await root('POST', `${at}/hooks`, {
    url: hooks.url,
    token: 'very-secret',
    push_events: false,
    merge_requests_events: true,
  });
  expect(made.status).toBe(201);
  expect(JSON.stringify(made.body)).not.toContain('very-secret');
  await commit('one', { x: '1' }, 'main');
  await gitlab.settled();
  expect(hooks.waiting).toEqual([]);
  expect((await root('GET', `${at}/hooks`)).body).toMatchObject([
    { id: made.body.id, url: hooks.url, push_events: false },
  ]);
  expect((await root('DELETE', `${at}/hooks/${made.body.id}`)).status).toBe(204);
  expect((await root('POST', `${at}/hooks`, { url: 'nonsense' })).status).toBe(422);
});
