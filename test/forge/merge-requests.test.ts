import { expect, test } from 'vitest';
import { gitlabWorld, PROJECT, proposal, SOURCE, TARGET } from './gitlab-world.ts';

test('a merge request is opened once and found again', async () => {
  const { forge, signal, pushed, openMergeRequests } = await gitlabWorld();
  const workspace = await pushed();
  const first = await forge.openMergeRequest(proposal(workspace), signal);
  expect(first).toMatchObject({
    iid: 1,
    state: 'opened',
    sha: workspace.head(),
    sourceBranch: SOURCE,
    targetBranch: TARGET,
    webUrl: expect.stringContaining(`${PROJECT}/-/merge_requests/1`),
  });
  const again = await forge.openMergeRequest(proposal(workspace, 'Better words'), signal);
  expect(again.iid).toBe(1);
  expect(await openMergeRequests()).toMatchObject([
    { description: 'Better words', squash: true, force_remove_source_branch: true },
  ]);
});

/** The first creation must find the branch: the fault is for one call. */
const AT_ONCE = { pushDelay: { from: 0, to: 0, seed: 1 } };

test.each([502, 'drop'] as const)('one whose creation is answered with %s is not opened twice', async (answer) => {
  const { gitlab, forge, signal, pushed, openMergeRequests } = await gitlabWorld({}, AT_ONCE);
  const workspace = await pushed();
  gitlab.faults.call({
    method: 'POST',
    path: /merge_requests$/,
    when: 'after',
    answer: answer === 'drop' ? answer : { status: answer, body: '<html><title>502 Bad Gateway</title></html>' },
  });
  expect(await forge.openMergeRequest(proposal(workspace), signal)).toMatchObject({ iid: 1, state: 'opened' });
  expect(await openMergeRequests()).toHaveLength(1);
});

test('one that somebody opens at the same moment is adopted', async () => {
  const { gitlab, forge, signal, pushed, human, openMergeRequests } = await gitlabWorld({}, AT_ONCE);
  const workspace = await pushed();
  const asked = gitlab.faults.call({ method: 'POST', path: /merge_requests$/, delay: 300 });
  const opening = forge.openMergeRequest(proposal(workspace), signal);
  await asked.struck;
  await human('POST', '/merge_requests', { source_branch: SOURCE, target_branch: TARGET, title: 'theirs' });
  expect(await opening).toMatchObject({ iid: 1 });
  expect(await openMergeRequests()).toHaveLength(1);
});

test('creation that fails without effect says so and is not tried again', async () => {
  const { gitlab, forge, signal, pushed } = await gitlabWorld();
  const workspace = await pushed();
  const fault = gitlab.faults.call({
    method: 'POST',
    path: /merge_requests$/,
    answer: { status: 429, body: { message: 'Retry later' }, headers: { 'Retry-After': '17' } },
    times: Number.POSITIVE_INFINITY,
  });
  await expect(forge.openMergeRequest(proposal(workspace), signal)).rejects.toMatchObject({
    code: 'gitlab_unavailable',
    retryAfter: 17,
  });
  expect(fault.hits).toBe(1);
});

test('closing and deleting may be repeated', async () => {
  const { forge, signal, proposed, openMergeRequests } = await gitlabWorld();
  const { mr } = await proposed();
  expect(await forge.closeMergeRequest(mr.iid, signal)).toMatchObject({ state: 'closed' });
  expect(await forge.closeMergeRequest(mr.iid, signal)).toMatchObject({ state: 'closed' });
  expect(await forge.closeMergeRequest(77, signal)).toBeNull();
  await forge.closeMergeRequestOf(SOURCE, signal);
  await forge.deleteBranch(SOURCE, signal);
  await forge.deleteBranch(SOURCE, signal);
  expect(await openMergeRequests()).toEqual([]);
  expect(await forge.branchTip(SOURCE, signal)).toBeNull();
});

test('closing finds the merge request by its branch, and a lost answer does not matter', async () => {
  const { gitlab, forge, signal, proposed, openMergeRequests } = await gitlabWorld();
  await proposed();
  gitlab.faults.call({ method: 'PUT', path: /merge_requests\/1$/, when: 'after', answer: { status: 502 } });
  await forge.closeMergeRequestOf(SOURCE, signal);
  expect(await openMergeRequests()).toEqual([]);
});

test('description and notes', async () => {
  const { gitlab, forge, signal, proposed, human } = await gitlabWorld();
  const { mr } = await proposed();
  await forge.updateDescription({ iid: mr.iid, description: `x${'y'.repeat(1_100_000)}` }, signal);
  const { description } = (await human('GET', `/merge_requests/${mr.iid}`)) as { description: string };
  expect(description).toHaveLength(1_048_576);

  gitlab.faults.call({ method: 'POST', path: /notes$/, when: 'after', answer: 'drop' });
  await forge.addNote({ iid: mr.iid, body: '/retest' }, signal);
  const notes = (await human('GET', `/merge_requests/${mr.iid}/notes`)) as { body: string }[];
  expect(notes.filter(({ body }) => body === '/retest')).toHaveLength(1);
});

test('statuses of a commit, on all pages', async () => {
  const { forge, signal, pushed, human } = await gitlabWorld({}, AT_ONCE);
  const workspace = await pushed();
  for (let at = 0; at < 25; at++) {
    await human('POST', `/statuses/${workspace.head()}`, { state: 'pending', name: `task-${at}`, ref: SOURCE });
  }
  await human('POST', `/statuses/${workspace.head()}`, {
    state: 'failed',
    name: 'build',
    ref: SOURCE,
    description: 'no',
  });
  const statuses = await forge.commitStatuses(workspace.head(), signal);
  expect(statuses).toHaveLength(26);
  expect(statuses).toContainEqual(expect.objectContaining({ name: 'build', status: 'failed', description: 'no' }));
});

test('the token is checked with a sentence that says what to mend', async () => {
  const { gitlab, forge, forgeWith, signal } = await gitlabWorld();
  await forge.checkToken(signal);
  const wrong = forgeWith({ token: 'glpat-wrong-token' }).checkToken(signal);
  await expect(wrong).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: expect.stringMatching(/answers 401 .* wrong, expired or revoked/),
  });
  const elsewhere = forgeWith({ url: `${gitlab.url}/catalogs/stage/other` }).checkToken(signal);
  await expect(elsewhere).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: expect.stringMatching(/answers 404 for catalogs\/stage\/other: there is no such project/),
  });
  gitlab.faults.call({ path: /api\/v4\/projects/, answer: { status: 403, body: { error: 'insufficient_scope' } } });
  await expect(forge.checkToken(signal)).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: expect.stringMatching(/answers 403 .* scopes \(api, write_repository\).*insufficient_scope/),
  });
});

test.each([
  ['an HTML page', { status: 503, body: '<html><title>Be right back</title></html>' }, 'HTTP 503 (Be right back)'],
  ['nothing', { status: 500, body: '' }, 'HTTP 500 (HTTP 500)'],
  ['a cut connection', 'drop', 'no connection'],
] as const)('%s is GitLab being unavailable, after one call', async (_, answer, words) => {
  const { gitlab, forge, signal } = await gitlabWorld();
  const fault = gitlab.faults.call({ path: /api\/v4\/projects/, answer, times: Number.POSITIVE_INFINITY });
  const thrown = await forge.checkToken(signal).catch((error) => error);
  expect(thrown).toMatchObject({ code: 'gitlab_unavailable', message: `GitLab API request failed: ${words}` });
  expect(fault.hits).toBe(1);
});

test('a Retry-After with a date is understood', async () => {
  const { gitlab, forge, signal } = await gitlabWorld();
  const headers = { 'Retry-After': new Date(Date.now() + 30_000).toUTCString() };
  gitlab.faults.call({ path: /api\/v4\/projects/, answer: { status: 429, headers } });
  const thrown = await forge.checkToken(signal).catch((error) => error);
  expect(thrown.retryAfter).toBeGreaterThan(25);
  expect(thrown.retryAfter).toBeLessThanOrEqual(30);
});

test('answers that are not GitLab’s are not taken for one', async () => {
  const { gitlab, forge, signal } = await gitlabWorld();
  gitlab.faults.call({ path: /api\/v4\/projects/, answer: { status: 200, body: '<html>Log in</html>' } });
  await expect(forge.checkToken(signal)).rejects.toMatchObject({ code: 'answer_unreadable' });
  gitlab.faults.call({
    path: /api\/v4\/projects/,
    answer: { status: 301, headers: { location: 'http://127.0.0.1:9/' } },
  });
  await expect(forge.checkToken(signal)).rejects.toMatchObject({
    code: 'gitlab_refused',
    message: expect.stringContaining('the project has moved'),
  });
});

test('a call that takes too long is given up, and aborting ends it at once', async () => {
  const { gitlab, forge, forgeWith } = await gitlabWorld();
  const slow = gitlab.faults.call({ path: /api\/v4\/projects/, delay: 3000, times: 2 });
  const aborting = new AbortController();
  await expect(forgeWith({ callTimeout: 100 }).checkToken(aborting.signal)).rejects.toMatchObject({
    code: 'gitlab_unavailable',
    message: 'GitLab API request failed: no answer within 0.1 s',
  });
  const call = forge.checkToken(aborting.signal);
  await expect.poll(() => slow.hits).toBe(2);
  aborting.abort(new Error('stop'));
  await expect(call).rejects.toThrow('stop');
});
