import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commitFile, scene } from './scene.ts';

test('from creation to merge', async () => {
  const { api, at, commit, open, checked, merge, gitlab, tip, project } = await scene();
  const head = await commit('change', { 'configs/a/catalog.yaml': 'a: 2\n' }, 'main');
  const made = await api('POST', `${at}/merge_requests`, {
    source_branch: 'change',
    target_branch: 'main',
    title: 'Add etcd',
    description: 'Before\n/close\n```\n/merge\n```\nAfter',
    remove_source_branch: true,
  });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    iid: 1,
    state: 'opened',
    sha: head,
    merge_status: 'checking',
    detailed_merge_status: 'preparing',
    prepared_at: null,
    diff_refs: null,
    description: 'Before\n```\n/merge\n```\nAfter',
    user: { can_merge: true },
  });
  expect(await open('change')).toBeUndefined();

  expect(await checked(1)).toMatchObject({
    detailed_merge_status: 'mergeable',
    merge_status: 'can_be_merged',
    has_conflicts: false,
    changes_count: '1',
    diff_refs: { base_sha: project.sha, head_sha: head, start_sha: project.sha },
  });
  const wrong = await merge(1, { sha: project.sha });
  expect([wrong.status, wrong.body]).toEqual([409, { message: `SHA does not match HEAD of source branch: ${head}` }]);

  const merged = await merge(1, { sha: head });
  expect(merged.status).toBe(200);
  expect(merged.body).toMatchObject({ state: 'merged', detailed_merge_status: 'not_open', squash_commit_sha: null });
  expect(merged.body.merge_commit_sha).toBe(await tip('main'));
  const commitOfMerge = await api('GET', `${at}/repository/commits/${merged.body.merge_commit_sha}`);
  expect(commitOfMerge.body).toMatchObject({
    parent_ids: [project.sha, head],
    message: "Merge branch 'change' into 'main'\n\nAdd etcd\n\nSee merge request catalogs/stage/index!1",
  });
  await gitlab.settled();
  expect((await api('GET', `${at}/repository/branches/change`)).status).toBe(404);
  expect((await merge(1)).status).toBe(405);
});

test('a second request for the same branches names the first', async () => {
  const { api, at, commit, open } = await scene();
  await commit('change', { x: '1' }, 'main');
  expect(await open('change')).toBe(1);
  const again = await api('POST', `${at}/merge_requests`, {
    source_branch: 'change',
    target_branch: 'main',
    title: 'x',
  });
  expect([again.status, again.body]).toEqual([
    409,
    { message: ['Another open merge request already exists for this source branch: !1'] },
  ]);
});

test('two calls at once make one request', async () => {
  const { api, at, commit } = await scene();
  await commit('change', { x: '1' }, 'main');
  const body = { source_branch: 'change', target_branch: 'main', title: 'x' };
  const both = await Promise.all([1, 2].map(() => api('POST', `${at}/merge_requests`, body)));
  expect(both.map((each) => each.status).sort()).toEqual([201, 409]);
});

test('what cannot be created', async () => {
  const { api, at } = await scene();
  const create = async (body: object) => {
    const answer = await api('POST', `${at}/merge_requests`, body);
    return [answer.status, answer.body];
  };
  expect(await create({ target_branch: 'main' })).toEqual([
    400,
    { error: 'title is missing, source_branch is missing' },
  ]);
  expect(await create({ title: 't', source_branch: 'no', target_branch: 'main' })).toEqual([
    400,
    { message: { source_branch: ['does not exist'] } },
  ]);
  expect(await create({ title: 't', source_branch: 'main', target_branch: 'main' })).toEqual([
    422,
    { message: ["You can't use same project/branch for source and target"] },
  ]);
  const [status] = await create({
    title: 't',
    source_branch: 'main',
    target_branch: 'no',
    description: 'x'.repeat(1_048_577),
  });
  expect(status).toBe(400);
});

test('a conflict is found and refused', async () => {
  const { commit, open, checked, merge, tip } = await scene();
  await commit('one', { 'configs/a/catalog.yaml': 'a: 2\n' }, 'main');
  await commit('two', { 'configs/a/catalog.yaml': 'a: 3\n' }, 'main');
  const one = await open('one');
  const two = await open('two');
  expect((await checked(two)).detailed_merge_status).toBe('mergeable');
  expect((await checked(one)).detailed_merge_status).toBe('mergeable');
  expect((await merge(one)).status).toBe(200);
  const main = await tip('main');
  // The target has moved: what was known is stale until somebody asks.
  expect((await merge(two)).status).toBe(405);
  expect(await checked(two)).toMatchObject({ detailed_merge_status: 'conflict', has_conflicts: true });
  const refused = await merge(two);
  expect([refused.status, refused.body]).toEqual([405, { message: '405 Method Not Allowed' }]);
  expect(await tip('main')).toBe(main);
  // Mended by a push.
  await commit('two', { 'configs/a/catalog.yaml': 'a: 1\n', z: 'z' });
  expect((await checked(two)).detailed_merge_status).toBe('mergeable');
});

test('a moved target makes requests unchecked, and asking starts the check', async () => {
  const { commit, open, checked, request, gitlab, api, at } = await scene();
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await checked(iid);
  await commit('main', { y: '1' });
  const [listed] = (await api('GET', `${at}/merge_requests?state=opened&source_branch=one`)).body;
  expect(listed.detailed_merge_status).toBe('unchecked');
  expect((await request(iid)).detailed_merge_status).toBe('checking');
  await gitlab.settled();
  expect((await request(iid)).detailed_merge_status).toBe('mergeable');
});

test('who may merge', async () => {
  const { commit, open, checked, merge, request } = await scene({ protection: 'maintainers' });
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await checked(iid);
  const refused = await merge(iid);
  expect([refused.status, refused.body]).toEqual([401, { message: '401 Unauthorized' }]);
  expect((await request(iid)).user.can_merge).toBe(false);
});

test('drafts, threads and pipelines stand in the way', async () => {
  const { root, api, at, commit, open, checked, merge, request } = await scene();
  await root('PUT', at, {
    only_allow_merge_if_pipeline_succeeds: true,
    only_allow_merge_if_all_discussions_are_resolved: true,
  });
  const sha = await commit('one', { x: '1' }, 'main');
  const iid = await open('one', { title: 'Draft: x' });
  const status = async () => (await checked(iid)).detailed_merge_status;
  expect(await status()).toBe('draft_status');
  await api('PUT', `${at}/merge_requests/${iid}`, { title: 'x' });
  const thread = await api('POST', `${at}/merge_requests/${iid}/discussions`, { body: 'why?' });
  expect(await status()).toBe('discussions_not_resolved');
  await api('PUT', `${at}/merge_requests/${iid}/discussions/${thread.body.id}`, { resolved: true });
  expect(await status()).toBe('ci_must_pass');
  const post = (state: string) => api('POST', `${at}/statuses/${sha}`, { state, name: 'Konflux / build' });
  await post('running');
  expect(await status()).toBe('ci_still_running');
  expect((await merge(iid)).status).toBe(405);
  await post('success');
  expect(await request(iid)).toMatchObject({
    detailed_merge_status: 'mergeable',
    head_pipeline: { status: 'success' },
  });
  expect((await merge(iid)).status).toBe(200);
});

test('auto-merge waits for the pipeline', async () => {
  const { root, api, at, commit, open, checked, merge, gitlab, request } = await scene();
  await root('PUT', at, { only_allow_merge_if_pipeline_succeeds: true });
  const sha = await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await checked(iid);
  await api('POST', `${at}/statuses/${sha}`, { state: 'running' });
  const waiting = await merge(iid, { auto_merge: true });
  expect([waiting.status, waiting.body.state, waiting.body.merge_when_pipeline_succeeds]).toEqual([
    200,
    'opened',
    true,
  ]);
  await api('POST', `${at}/statuses/${sha}`, { state: 'success' });
  await gitlab.settled();
  expect((await request(iid)).state).toBe('merged');
});

test('closing keeps the branch, reopening checks again', async () => {
  const { api, at, commit, open, checked, tip, merge } = await scene();
  const sha = await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  const closed = await api('PUT', `${at}/merge_requests/${iid}`, { state_event: 'close' });
  expect(closed.body).toMatchObject({ state: 'closed', closed_by: { username: 'bot' } });
  expect(await tip('one')).toBe(sha);
  expect((await merge(iid)).status).toBe(405);
  const other = await open('one');
  expect(other).toBe(2);
  expect((await api('PUT', `${at}/merge_requests/${iid}`, { state_event: 'reopen' })).status).toBe(409);
  await api('PUT', `${at}/merge_requests/${other}`, { state_event: 'close' });
  await api('PUT', `${at}/merge_requests/${iid}`, { state_event: 'reopen' });
  expect(await checked(iid)).toMatchObject({ state: 'opened', detailed_merge_status: 'mergeable' });
});

test('a deleted source branch closes the request', async () => {
  const { api, at, commit, open, checked } = await scene();
  await commit('feature/one', { x: '1' }, 'main');
  const iid = await open('feature/one');
  await checked(iid);
  expect((await api('DELETE', `${at}/repository/branches/feature%2Fone`)).status).toBe(204);
  expect((await checked(iid)).state).toBe('closed');
  expect((await api('DELETE', `${at}/repository/branches/feature%2Fone`)).body).toEqual({
    message: '404 Branch Not Found',
  });
});

test('somebody merges by hand', async () => {
  const { git, remote, dir, commit, open, checked } = await scene();
  const sha = await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await checked(iid);
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  await git('-C', clone, 'merge', '--quiet', '--no-ff', '--no-edit', sha);
  await git('-C', clone, 'push', '--quiet', 'origin', 'main');
  expect(await checked(iid)).toMatchObject({ state: 'merged', merge_commit_sha: null, squash_commit_sha: null });
});

test('a push to the source changes the head', async () => {
  const { git, remote, dir, commit, open, checked } = await scene();
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', '--branch', 'one', remote, clone);
  const sha = await commitFile(git, clone, 'y', 'y');
  await git('-C', clone, 'push', '--quiet', 'origin', 'one');
  expect(await checked(iid)).toMatchObject({ sha, changes_count: '2', detailed_merge_status: 'mergeable' });
  expect(await git('ls-remote', remote, `refs/merge-requests/${iid}/head`)).toContain(sha);
});

test('squash gives one commit', async () => {
  const { api, at, commit, open, checked, merge, project } = await scene();
  await commit('one', { x: '1' }, 'main');
  await commit('one', { y: '1' });
  const iid = await open('one', { squash: true });
  await checked(iid);
  const { body } = await merge(iid, { squash_commit_message: 'All at once', merge_commit_message: 'Merged' });
  const squashed = await api('GET', `${at}/repository/commits/${body.squash_commit_sha}`);
  expect(squashed.body).toMatchObject({ message: 'All at once', parent_ids: [project.sha] });
  const merged = await api('GET', `${at}/repository/commits/${body.merge_commit_sha}`);
  expect(merged.body).toMatchObject({ message: 'Merged', parent_ids: [project.sha, body.squash_commit_sha] });
});

test('fast-forward projects ask for a rebase', async () => {
  const { api, at, commit, open, checked, merge, tip } = await scene({ merge_method: 'ff' });
  const old = await commit('one', { x: '1' }, 'main');
  await commit('one', { x: '2' });
  const iid = await open('one');
  await commit('main', { y: '1' });
  expect((await checked(iid)).detailed_merge_status).toBe('need_rebase');
  expect((await merge(iid)).status).toBe(405);
  const asked = await api('PUT', `${at}/merge_requests/${iid}/rebase`);
  expect([asked.status, asked.body]).toEqual([202, { rebase_in_progress: true }]);
  const rebased = await checked(iid);
  expect(rebased).toMatchObject({ detailed_merge_status: 'mergeable', merge_error: null });
  expect(rebased.sha).not.toBe(old);
  expect(await tip('one')).toBe(rebased.sha);
  const commits = await api('GET', `${at}/merge_requests/${iid}/commits`);
  expect(commits.body.map((each: { title: string }) => each.title)).toEqual(['change x', 'change x']);
  const { body } = await merge(iid, { sha: rebased.sha });
  expect(body).toMatchObject({ state: 'merged', merge_commit_sha: null, squash_commit_sha: null, sha: rebased.sha });
  expect(await tip('main')).toBe(rebased.sha);
});

test('a rebase that conflicts says so', async () => {
  const { api, at, commit, open, checked, gitlab } = await scene({ merge_method: 'rebase_merge' });
  await commit('one', { 'README.md': 'one\n' }, 'main');
  const iid = await open('one');
  await commit('main', { 'README.md': 'main\n' });
  await api('PUT', `${at}/merge_requests/${iid}/rebase`);
  await gitlab.settled();
  expect(await checked(iid)).toMatchObject({
    merge_error: 'Rebase failed: Rebase locally, resolve all conflicts, then push the branch.',
    detailed_merge_status: 'conflict',
  });
});

test('what the merge would be', async () => {
  const { api, at, commit, open } = await scene();
  await commit('one', { x: '1' }, 'main');
  await commit('main', { y: '1' });
  const iid = await open('one');
  const { status, body } = await api('GET', `${at}/merge_requests/${iid}/merge_ref`);
  expect(status).toBe(200);
  const { body: entries } = await api('GET', `${at}/repository/tree?ref=${body.commit_id}`);
  expect(entries.map((each: { name: string }) => each.name)).toEqual(['configs', 'README.md', 'x', 'y']);
  expect((await api('GET', `${at}/merge_requests/${iid}/merge_ref`)).body).toEqual(body);
});

test('diffs, changes and commits of a request', async () => {
  const { api, at, commit, open } = await scene();
  await commit('one', { 'configs/a/catalog.yaml': 'a: 2\n', 'new.txt': 'new\n' }, 'main');
  const iid = await open('one');
  const { body: diffs } = await api('GET', `${at}/merge_requests/${iid}/diffs`);
  expect(diffs).toMatchObject([
    { new_path: 'configs/a/catalog.yaml', new_file: false, diff: '@@ -1 +1 @@\n-a: 1\n+a: 2\n' },
    { new_path: 'new.txt', new_file: true, deleted_file: false, renamed_file: false, a_mode: '0', b_mode: '100644' },
  ]);
  const { body } = await api('GET', `${at}/merge_requests/${iid}/changes`);
  expect(body.changes).toEqual(diffs);
});

test('lists are filtered and come in pages', async () => {
  const { api, at, commit, open } = await scene();
  for (const branch of ['one', 'two', 'three']) {
    await commit(branch, { [branch]: '1' }, 'main');
    await open(branch, { labels: branch });
  }
  await api('PUT', `${at}/merge_requests/2`, { state_event: 'close' });
  const iids = (body: { iid: number }[]) => body.map((each) => each.iid);
  expect(iids((await api('GET', `${at}/merge_requests`)).body)).toEqual([3, 2, 1]);
  expect(iids((await api('GET', `${at}/merge_requests?state=opened&sort=asc`)).body)).toEqual([1, 3]);
  expect(iids((await api('GET', `${at}/merge_requests?source_branch=two&target_branch=main`)).body)).toEqual([2]);
  expect(iids((await api('GET', `${at}/merge_requests?iids[]=1&iids[]=3&labels=one`)).body)).toEqual([1]);
  const first = await api('GET', `${at}/merge_requests?per_page=2`);
  expect([first.headers.get('x-total'), first.headers.get('x-total-pages'), first.headers.get('x-next-page')]).toEqual([
    '3',
    '2',
    '2',
  ]);
  const next = first.headers.get('link')?.match(/<([^>]+)>; rel="next"/)?.[1] ?? '';
  expect(iids((await api('GET', next.replace(/^.*\/api\/v4/, ''))).body)).toEqual([1]);
  const keyset = await api('GET', `${at}/merge_requests?per_page=2&pagination=keyset`);
  const after = keyset.headers.get('link')?.match(/<([^>]+)>; rel="next"/)?.[1] ?? '';
  const last = await api('GET', after.replace(/^.*\/api\/v4/, ''));
  expect([iids(last.body), last.headers.get('link')]).toEqual([[1], null]);
});

test('comments', async () => {
  const { api, at, commit, open, gitlab } = await scene();
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  await gitlab.settled();
  const made = await api('POST', `${at}/merge_requests/${iid}/notes`, { body: '/retest' });
  expect([made.status, made.body.body, made.body.noteable_iid]).toEqual([201, '/retest', iid]);
  const changed = await api('PUT', `${at}/merge_requests/${iid}/notes/${made.body.id}`, { body: 'done' });
  expect(changed.body.body).toBe('done');
  const { body } = await api('GET', `${at}/merge_requests/${iid}/notes?sort=asc`);
  expect(body.filter((note: { system: boolean }) => !note.system)).toMatchObject([{ body: 'done' }]);
  expect((await api('POST', `${at}/merge_requests/${iid}/notes`, { body: '/close' })).status).toBe(202);
});

test('of two merges at once that conflict one wins', async () => {
  const { commit, open, checked, merge, request } = await scene();
  await commit('one', { 'README.md': 'one\n' }, 'main');
  await commit('two', { 'README.md': 'two\n' }, 'main');
  const iids = [await open('one'), await open('two')];
  for (const iid of iids) expect((await checked(iid)).detailed_merge_status).toBe('mergeable');
  const answers = await Promise.all(iids.map((iid) => merge(iid)));
  expect(answers.map((each) => each.status).sort()).toEqual([200, 422]);
  const loser = answers.findIndex((each) => each.status === 422);
  expect(answers[loser]?.body).toEqual({ message: 'Branch cannot be merged' });
  expect(await request(iids[loser] ?? 0)).toMatchObject({
    state: 'opened',
    merge_error: 'An error occurred while merging',
  });
});
