import { expect, test } from 'vitest';
import { gitlabWorld, SOURCE, TARGET } from './gitlab-world.ts';

test('a ready merge request is merged, guarded by the built commit', async () => {
  const { forge, gitlab, signal, proposed } = await gitlabWorld();
  const { mr, merge, workspace } = await proposed();
  const merged = await merge();
  expect(merged).toBe(await forge.branchTip(TARGET, signal));
  // Calling it again gives the same, as a job that starts anew does.
  expect(await merge()).toBe(merged);
  expect(await forge.mergedCommit({ iid: mr.iid, sha: workspace.head() }, signal)).toBe(merged);
  expect(await forge.closeMergeRequest(mr.iid, signal)).toMatchObject({ state: 'merged' });
  await gitlab.settled();
  expect(await forge.branchTip(SOURCE, signal)).toBeNull();
});

test.each([
  ['405 while it is still checked', { status: 405 }, 3],
  ['406 of older releases', { status: 406 }, 1],
  ['409', { status: 409, message: 'Merge request is not mergeable' }, 1],
  ['422', { status: 422 }, 1],
])('%s is waited out', async (_, refusal, times) => {
  const { gitlab, forge, signal, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  const fault = gitlab.faults.refuseMerge({ ...refusal, times });
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
  expect(fault.hits).toBe(times);
});

test.each([502, 504, 'drop'] as const)('a merge whose answer is %s has happened', async (answer) => {
  const { gitlab, forge, signal, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  const fault = gitlab.faults.call({
    method: 'PUT',
    path: /\/merge$/,
    when: 'after',
    answer: answer === 'drop' ? answer : { status: answer },
  });
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
  expect(fault.hits).toBe(1);
});

test('the answer to a merge that is no JSON is looked up', async () => {
  const { gitlab, forge, signal, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  gitlab.faults.call({ method: 'PUT', path: /\/merge$/, when: 'after', answer: { status: 200, body: '<html>' } });
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
});

test('GitLab tells no commit of a fast-forward: it is the head', async () => {
  const { forge, signal, proposed } = await gitlabWorld({ merge_method: 'ff', squash_option: 'never' });
  const { merge, workspace } = await proposed();
  expect(await merge()).toBe(workspace.head());
  expect(await forge.branchTip(TARGET, signal)).toBe(workspace.head());
});

test('without any merge commit the head stands for it', async () => {
  const { gitlab, proposed } = await gitlabWorld();
  const { merge, workspace } = await proposed();
  gitlab.faults.hideMergeShas();
  expect(await merge()).toBe(workspace.head());
});

test('a merge by somebody else is a success when it is our commit', async () => {
  const { forge, signal, human, proposed } = await gitlabWorld();
  const { mr, merge } = await proposed();
  await expect.poll(async () => (await forge.readMergeRequest(mr.iid, signal)).mergeStatus).toBe('mergeable');
  await human('PUT', `/merge_requests/${mr.iid}/merge`);
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
});

test('a human closes it', async () => {
  const { forge, signal, human, proposed } = await gitlabWorld();
  const { mr, merge, workspace } = await proposed();
  await human('PUT', `/merge_requests/${mr.iid}`, { state_event: 'close' });
  await expect(merge()).rejects.toMatchObject({
    code: 'merge_request_closed',
    message: 'Failed to merge merge request 1: it was closed by somebody else',
  });
  expect(await forge.branchTip(TARGET, signal)).toBe(workspace.base);
});

test('a human pushes to the branch', async () => {
  const { forge, signal, humanCommits, proposed } = await gitlabWorld();
  const { merge, workspace } = await proposed();
  await humanCommits(SOURCE);
  await expect(merge()).rejects.toMatchObject({
    code: 'merge_refused',
    message: `Failed to merge merge request 1: somebody pushed to ${SOURCE} after it was built`,
  });
  expect(await forge.branchTip(TARGET, signal)).toBe(workspace.base);
});

test('a human pushes and merges', async () => {
  const { forge, gitlab, signal, human, humanCommits, proposed } = await gitlabWorld();
  const { mr, merge, workspace } = await proposed();
  await humanCommits(SOURCE);
  await gitlab.settled();
  await expect.poll(async () => (await forge.readMergeRequest(mr.iid, signal)).mergeStatus).toBe('mergeable');
  await human('PUT', `/merge_requests/${mr.iid}/merge`);
  await expect(merge()).rejects.toMatchObject({
    code: 'merge_refused',
    message: `Failed to merge merge request 1: somebody pushed to ${SOURCE} after it was built and merged it`,
  });
  expect(await forge.mergedCommit({ iid: mr.iid, sha: workspace.head() }, signal)).toBeNull();
});

test('a human deletes the branch', async () => {
  const { gitlab, human, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  await human('DELETE', `/repository/branches/${SOURCE}`);
  await gitlab.settled();
  await expect(merge(3000)).rejects.toMatchObject({
    code: expect.stringMatching(/^merge_(refused|request_closed)$/),
    message: expect.stringMatching(/^Failed to merge merge request 1: /),
  });
});

test('the target moves: the change must be built again', async () => {
  const { forge, signal, humanCommits, proposed } = await gitlabWorld();
  const { merge, workspace } = await proposed();
  const theirs = await humanCommits(TARGET);
  await expect(merge()).rejects.toMatchObject({
    code: 'target_moved',
    message: `The branch ${TARGET} changed during the request: ${theirs} instead of ${workspace.base}`,
  });
  expect(await forge.branchTip(TARGET, signal)).toBe(theirs);
});

test('a conflict is a target that has moved, too', async () => {
  const { forge, signal, human, proposed } = await gitlabWorld();
  const { mr, workspace } = await proposed();
  const actions = [{ action: 'update', file_path: '.iib-build-metadata.json', content: '{"request_id": "theirs"}\n' }];
  const made = await human('POST', '/repository/commits', { branch: TARGET, commit_message: 'theirs', actions });
  const { id: base } = made as { id: string };
  const merge = { iid: mr.iid, sha: workspace.head(), targetBranch: TARGET, base, within: 10_000, signal };
  await expect(forge.mergeWhenReady(merge)).rejects.toMatchObject({
    code: 'target_moved',
    message: `Failed to merge merge request 1: it conflicts with the target branch ${TARGET}`,
  });
});

test('a token that may not merge', async () => {
  const { gitlab, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  const fault = gitlab.faults.refuseMerge({
    status: 401,
    message: '401 Unauthorized',
    times: Number.POSITIVE_INFINITY,
  });
  await expect(merge()).rejects.toMatchObject({
    code: 'merge_refused',
    message: `Failed to merge merge request 1: GitLab answers 401 (401 Unauthorized): the token's user may not merge into ${TARGET}: allow it in the branch's protection`,
  });
  expect(fault.hits).toBe(1);
});

test('a merge that GitLab begins and a hook declines is refused in the end', async () => {
  const { gitlab, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  const message = 'Merge failed: pre-receive hook declined: no releases on Saturday';
  gitlab.faults.refuseMerge({ status: 422, message, times: Number.POSITIVE_INFINITY });
  await expect(merge()).rejects.toMatchObject({
    code: 'merge_refused',
    message: `Failed to merge merge request 1: ${message}`,
  });
});

test('what is not ready in time is named', async () => {
  const { gitlab, forge, signal, proposed } = await gitlabWorld();
  const stuck = gitlab.faults.stuckMergeability();
  const { mr, merge, workspace } = await proposed();
  await expect(merge(600)).rejects.toMatchObject({
    code: 'merge_not_ready',
    message: 'Failed to merge merge request 1: it is not ready in time: checking',
  });
  const seen: string[] = [];
  const merging = forge.mergeWhenReady({
    iid: mr.iid,
    sha: workspace.head(),
    targetBranch: TARGET,
    base: workspace.base,
    within: 20_000,
    signal,
    onWaiting({ status }) {
      seen.push(status);
      stuck.remove();
    },
  });
  expect(await merging).toBe(await forge.branchTip(TARGET, signal));
  expect(seen).toEqual(['checking']);
});

test('a draft waits for people', async () => {
  const { human, proposed } = await gitlabWorld();
  const { mr, merge } = await proposed();
  await human('PUT', `/merge_requests/${mr.iid}`, { title: 'Draft: not yet' });
  await expect(merge(600)).rejects.toMatchObject({
    code: 'merge_refused',
    message: expect.stringMatching(
      /^Failed to merge merge request 1: somebody has marked it as a draft: mark it as ready \(draft_status, http/,
    ),
  });
});

test('"pipelines must succeed" is waited for', async () => {
  const { forge, signal, human, proposed } = await gitlabWorld({ only_allow_merge_if_pipeline_succeeds: true });
  const { merge, workspace } = await proposed();
  const status = (state: string) =>
    human('POST', `/statuses/${workspace.head()}`, { state, name: 'build', ref: SOURCE });
  await status('running');
  const merging = merge();
  await status('success');
  expect(await merging).toBe(await forge.branchTip(TARGET, signal));
});

test('GitLab being down is told as such, and calling again goes on', async () => {
  const { gitlab, forge, signal, proposed } = await gitlabWorld();
  const { merge } = await proposed();
  gitlab.faults.call({ method: 'GET', path: /merge_requests\/1$/, answer: { status: 503 } });
  await expect(merge()).rejects.toMatchObject({ code: 'gitlab_unavailable' });
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
});

test('a merge is reverted once', async () => {
  const { gitlab, forge, signal, human, proposed } = await gitlabWorld();
  const { merge, workspace } = await proposed();
  const sha = await merge();
  gitlab.faults.call({ method: 'POST', path: /revert$/, when: 'after', answer: { status: 502 } });
  await expect(forge.revertMerge({ sha, branch: TARGET }, signal)).rejects.toMatchObject({
    code: 'gitlab_unavailable',
  });
  await forge.revertMerge({ sha, branch: TARGET }, signal);
  const commits = (await human('GET', `/repository/commits?ref_name=${TARGET}`)) as { title: string }[];
  expect(commits.filter(({ title }) => title.startsWith('Revert'))).toHaveLength(1);
  const compare = await human('GET', `/repository/compare?from=${workspace.base}&to=${TARGET}`);
  expect((compare as { diffs: unknown[] }).diffs).toEqual([]);
});
