import { Gitlab } from '@gitbeaker/rest';
import { expect, test } from 'vitest';
import { caller, scene } from './scene.ts';

test('trees: folders first, recursive, keyset pages, missing paths', async () => {
  const { api, at } = await scene();
  const names = (body: { path: string }[]) => body.map((each) => each.path);
  expect(names((await api('GET', `${at}/repository/tree`)).body)).toEqual(['configs', 'README.md']);
  const all = await api('GET', `${at}/repository/tree?recursive=true&path=configs`);
  expect(names(all.body)).toEqual(['configs/a', 'configs/a/catalog.yaml', 'configs/b', 'configs/b/catalog.yaml']);
  // The way Pipelines-as-Code asks, with everything encoded that can be.
  const ask = `${at}/repository/tree?path=configs&ref=refs%2Fheads%2Fmain&recursive=true&pagination=keyset&per_page=3&order_by=id&sort=asc`;
  const first = await api('GET', ask);
  expect(names(first.body)).toHaveLength(3);
  const next = first.headers.get('link')?.match(/<([^>]+)>; rel="next"/)?.[1] ?? '';
  const second = await api('GET', next.replace(/^.*\/api\/v4/, ''));
  expect([names(second.body), second.headers.get('link')]).toEqual([['configs/b/catalog.yaml'], null]);
  expect((await api('GET', `${at}/repository/tree?path=.tekton`)).status).toBe(404);
  expect((await api('GET', `${at}/repository/tree?ref=nowhere`)).body).toEqual({ message: '404 Tree Not Found' });
});

test('files: JSON, raw, HEAD', async () => {
  const { api, at, project } = await scene();
  const file = `${at.replaceAll('catalogs', 'c%61talogs')}/repository/files/configs%2Fa%2Fcatalog%2Eyaml`;
  const { body } = await api('GET', `${file}?ref=main`);
  expect(body).toMatchObject({
    file_path: 'configs/a/catalog.yaml',
    content: Buffer.from('a: 1\n').toString('base64'),
    last_commit_id: project.sha,
    commit_id: project.sha,
    size: 5,
  });
  expect((await api('GET', `${file}/raw?ref=main`)).body).toBe('a: 1\n');
  const { headers } = await api('HEAD', `${file}?ref=main`);
  expect([headers.get('x-gitlab-blob-id'), headers.get('x-gitlab-last-commit-id')]).toEqual([
    body.blob_id,
    project.sha,
  ]);
  expect((await api('GET', `${file}`)).body).toEqual({ error: 'ref is missing' });
  expect((await api('GET', `${at}/repository/files/nope/raw?ref=main`)).body).toEqual({
    message: '404 File Not Found',
  });
});

test('the commits API: guards and an atomic commit', async () => {
  const { api, at, project, tip } = await scene();
  const post = async (body: object) => {
    const answer = await api('POST', `${at}/repository/commits`, { commit_message: 'm', ...body });
    return [answer.status, answer.body.message] as const;
  };
  const a = { file_path: 'configs/a/catalog.yaml' };
  const made = await api('POST', `${at}/repository/commits`, {
    branch: 'work',
    start_sha: project.sha,
    commit_message: 'Work',
    author_name: 'Ann',
    author_email: 'ann@example.com',
    actions: [
      {
        action: 'create',
        file_path: 'new/deep.bin',
        content: Buffer.from([0, 255]).toString('base64'),
        encoding: 'base64',
      },
      { action: 'update', ...a, content: 'a: 2\n', last_commit_id: project.sha },
      { action: 'delete', file_path: 'README.md' },
      { action: 'move', file_path: 'configs/c/catalog.yaml', previous_path: 'configs/b/catalog.yaml' },
    ],
  });
  expect(made.body).toMatchObject({
    title: 'Work',
    author_name: 'Ann',
    committer_name: 'Catalog Bot',
    parent_ids: [project.sha],
  });
  expect(made.body.stats).toMatchObject({ additions: 1, deletions: 2 });
  expect(await tip('work')).toBe(made.body.id);
  const diff = await api('GET', `${at}/repository/commits/${made.body.id}/diff`);
  expect(
    diff.body.map((each: { new_path: string; renamed_file: boolean }) => [each.new_path, each.renamed_file]),
  ).toEqual([
    ['README.md', false],
    ['configs/a/catalog.yaml', false],
    ['configs/c/catalog.yaml', true],
    ['new/deep.bin', false],
  ]);
  expect(await post({ branch: 'work', actions: [{ action: 'create', ...a, content: '' }] })).toEqual([
    400,
    'A file with this name already exists',
  ]);
  expect(await post({ branch: 'work', actions: [{ action: 'update', file_path: 'no', content: '' }] })).toEqual([
    400,
    "A file with this name doesn't exist",
  ]);
  expect(
    await post({ branch: 'work', actions: [{ action: 'update', ...a, content: '', last_commit_id: project.sha }] }),
  ).toEqual([400, 'You are attempting to update a file that has changed since you started editing it.']);
  const again = { branch: 'work', start_sha: project.sha, actions: [{ action: 'delete', ...a }] };
  expect((await post(again))[1]).toMatch(/^A branch called 'work' already exists/);
  expect((await post({ ...again, force: true }))[0]).toBe(201);
  expect(await post({ branch: 'x', start_branch: 'no', actions: [] })).toEqual([400, "Cannot find branch 'no'"]);
});

test('a merge is taken back', async () => {
  const { api, at, commit, open, checked, merge, project } = await scene();
  await commit('one', { 'configs/a/catalog.yaml': 'a: 2\n' }, 'main');
  const iid = await open('one');
  await checked(iid);
  const { body } = await merge(iid);
  const reverted = await api('POST', `${at}/repository/commits/${body.merge_commit_sha}/revert`, { branch: 'main' });
  expect(reverted.status).toBe(201);
  expect(reverted.body.message).toBe(`Revert "Merge branch 'one' into 'main'"\n\nThis reverts merge request !${iid}`);
  const { body: diffs } = await api('GET', `${at}/repository/compare?from=${project.sha}&to=main&straight=true`);
  expect(diffs.diffs).toEqual([]);
  const again = await api('POST', `${at}/repository/commits/${body.merge_commit_sha}/revert`, { branch: 'main' });
  expect([again.status, again.body.error_code]).toEqual([400, 'empty']);
});

test('statuses', async () => {
  const { api, at, project } = await scene();
  const post = async (state: string, more: object = {}) => {
    const answer = await api('POST', `${at}/statuses/${project.sha}`, { state, context: 'CI / a', ...more });
    return [answer.status, answer.body.message ?? answer.body.status];
  };
  expect(await post('pending')).toEqual([201, 'pending']);
  expect(await post('running')).toEqual([201, 'running']);
  const [status, message] = await post('running');
  expect(status).toBe(400);
  expect(message).toContain('Cannot transition status via :run from :running');
  expect(await post('success', { target_url: 'https://console/x' })).toEqual([201, 'success']);
  await post('failed', { context: 'CI' });
  const { body } = await api('GET', `${at}/repository/commits/${project.sha}/statuses`);
  expect(body).toMatchObject([
    { name: 'CI / a', status: 'success', target_url: 'https://console/x', ref: 'main', author: { username: 'bot' } },
    { name: 'CI', status: 'failed' },
  ]);
  expect((await post('success', { description: 'x'.repeat(256) }))[0]).toBe(400);
  expect((await api('POST', `${at}/statuses/${'1'.repeat(40)}`, { state: 'success' })).body).toEqual({
    message: '404 Commit Not Found',
  });
});

test('branches, tags, comparison, archive', async () => {
  const { api, root, at, project, gitlab, bot } = await scene();
  expect((await api('POST', `${at}/repository/branches?branch=a/b&ref=main`)).body.commit.id).toBe(project.sha);
  expect((await api('POST', `${at}/repository/branches`, { branch: 'a/b', ref: 'main' })).body).toEqual({
    message: 'Branch already exists',
  });
  const listed = await api('GET', `${at}/repository/branches?search=^a`);
  expect(listed.body.map((each: { name: string }) => each.name)).toEqual(['a/b']);
  expect((await root('POST', `${at}/protected_branches`, { name: 'a/*' })).status).toBe(201);
  expect((await api('DELETE', `${at}/repository/branches/a%2Fb`)).status).toBe(400);
  expect((await root('DELETE', `${at}/protected_branches/a%2F*`)).status).toBe(204);
  expect((await api('DELETE', `${at}/repository/branches/a%2Fb`)).status).toBe(204);
  expect(
    (await api('POST', `${at}/repository/tags`, { tag_name: 'v1', ref: 'main', message: 'One' })).body,
  ).toMatchObject({
    name: 'v1',
    message: expect.stringContaining('One'),
    commit: { id: project.sha },
  });
  const archive = await fetch(`${gitlab.url}/api/v4${at}/repository/archive.tar.gz`, {
    headers: { 'PRIVATE-TOKEN': bot.token },
  });
  expect([...new Uint8Array(await archive.arrayBuffer()).subarray(0, 2)]).toEqual([0x1f, 0x8b]);
  expect((await api('GET', `${at}/repository/merge_base?refs[]=main&refs[]=v1`)).body.id).toBe(project.sha);
});

test('who may see and change what', async () => {
  const { gitlab, at, api, root, project } = await scene();
  const anonymous = caller(gitlab.url, undefined);
  const wrong = caller(gitlab.url, 'nobody');
  const stranger = caller(gitlab.url, gitlab.createUser({ username: 'stranger' }).token);
  expect((await wrong('GET', at)).body).toEqual({ message: '401 Unauthorized' });
  expect((await anonymous('GET', at)).body).toEqual({ message: '404 Project Not Found' });
  expect((await anonymous('GET', '/user')).status).toBe(401);
  expect((await stranger('GET', at)).body).toEqual({ message: '404 Project Not Found' });
  await root('PUT', at, { visibility: 'internal' });
  expect((await stranger('GET', at)).status).toBe(200);
  expect((await stranger('POST', `${at}/merge_requests`, {})).body).toEqual({ message: '403 Forbidden' });
  expect((await api('GET', `${at}/hooks`)).status).toBe(403);
  const reading = caller(gitlab.url, gitlab.createToken('bot', { scopes: ['read_api'] }));
  expect((await reading('GET', at)).status).toBe(200);
  expect((await reading('POST', `${at}/statuses/${project.sha}`, {})).body.error).toBe('insufficient_scope');
  const expired = caller(gitlab.url, gitlab.createToken('bot', { expires_at: '2020-01-01' }));
  expect((await expired('GET', at)).body).toMatchObject({ error: 'invalid_token' });
  expect((await api('GET', '/nowhere')).body).toEqual({ error: '404 Not Found' });
});

test('everything can be set up over REST', async () => {
  const { gitlab, root } = await scene();
  const parent = (await root('POST', '/groups', { name: 'Parent', path: 'parent' })).body;
  const child = (await root('POST', '/groups', { name: 'Child', path: 'child', parent_id: parent.id })).body;
  expect(child.full_path).toBe('parent/child');
  const made = await root('POST', '/projects', { name: 'index', namespace_id: child.id, initialize_with_readme: true });
  expect(made.body).toMatchObject({
    path_with_namespace: 'parent/child/index',
    web_url: `${gitlab.url}/parent/child/index`,
    http_url_to_repo: `${gitlab.url}/parent/child/index.git`,
    default_branch: 'main',
    visibility: 'private',
    merge_method: 'merge',
    namespace: { full_path: 'parent/child' },
  });
  const user = (await root('POST', '/users', { username: 'ann', name: 'Ann', email: 'ann@example.com' })).body;
  const token = (await root('POST', `/users/${user.id}/personal_access_tokens`, { name: 't', scopes: ['api'] })).body
    .token;
  const ann = caller(gitlab.url, token);
  expect((await ann('GET', `/projects/${made.body.id}`)).status).toBe(404);
  expect((await root('GET', `/projects/${made.body.id}/members/all/${user.id}`)).body).toEqual({
    message: '404 Not found',
  });
  await root('POST', `/groups/${parent.id}/members`, { user_id: user.id, access_level: 30 });
  expect((await ann('GET', `/projects/${made.body.id}/members/all/${user.id}`)).body).toMatchObject({
    id: user.id,
    access_level: 30,
  });
  expect((await ann('GET', '/user')).body).toMatchObject({ username: 'ann', is_admin: false });
  expect((await ann('GET', '/personal_access_tokens/self')).body).toMatchObject({ active: true, scopes: ['api'] });
  const bot = await root('POST', `/projects/${made.body.id}/access_tokens`, {
    name: 'ci',
    scopes: ['api'],
    access_level: 40,
  });
  const me = (await caller(gitlab.url, bot.body.token)('GET', '/user')).body;
  expect([me.bot, me.username]).toEqual([true, expect.stringMatching(new RegExp(`^project_${made.body.id}_bot_`))]);
});

test('gitbeaker speaks to it', async () => {
  const { gitlab, bot, path } = await scene();
  const client = new Gitlab({ host: gitlab.url, token: bot.token });
  expect((await client.Projects.show(path)).path_with_namespace).toBe(path);
  const commit = await client.Commits.create(
    path,
    'beaker',
    'By gitbeaker',
    [{ action: 'create', filePath: 'x', content: 'x' }],
    {
      startBranch: 'main',
    },
  );
  const request = await client.MergeRequests.create(path, 'beaker', 'main', 'By gitbeaker', {
    removeSourceBranch: true,
  });
  expect(request.sha).toBe(commit.id);
  await expect(client.MergeRequests.create(path, 'beaker', 'main', 'again')).rejects.toThrow(
    /already exists for this source branch: !1/,
  );
  await client.MergeRequestNotes.create(path, request.iid, 'hello');
  await client.Commits.editStatus(path, commit.id, 'running', { name: 'CI' });
  expect((await client.Commits.allStatuses(path, commit.id)).map((each) => each.status)).toEqual(['running']);
  await gitlab.settled();
  expect((await client.MergeRequests.show(path, request.iid)).detailed_merge_status).toBe('mergeable');
  const merged = await client.MergeRequests.merge(path, request.iid, { sha: commit.id });
  expect(merged.state).toBe('merged');
  const listed = await client.MergeRequests.all({ projectId: path, state: 'merged', pagination: 'keyset', perPage: 1 });
  expect(listed).toHaveLength(1);
  expect((await client.RepositoryFiles.show(path, 'x', 'main')).content).toBe('eA==');
  expect(
    (await client.Repositories.allRepositoryTrees(path, { recursive: true, pagination: 'keyset', perPage: 2 })).length,
  ).toBe(7);
});
