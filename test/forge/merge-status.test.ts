import { describe, expect, test } from 'vitest';
import type { Waiting } from '../../src/forge/merge.ts';
import { gitlabWorld, TARGET } from './gitlab-world.ts';

/** A merge request about which GitLab says what a test wants: the imitation's answer with some fields changed. */
async function said(fields: Record<string, unknown>) {
  const world = await gitlabWorld();
  const { mr, workspace } = await world.proposed();
  await world.gitlab.settled();
  const body = (await world.human('GET', `/merge_requests/${mr.iid}`)) as object;
  const fault = world.gitlab.faults.call({
    method: 'GET',
    path: /\/merge_requests\/1$/,
    answer: { status: 200, body: { ...body, ...fields } },
    times: Number.POSITIVE_INFINITY,
  });
  const waiting: Waiting[] = [];
  const merge = (within: number, onWaiting: (told: Waiting) => void = () => {}) =>
    world.forge.mergeWhenReady({
      iid: mr.iid,
      sha: workspace.head(),
      targetBranch: TARGET,
      base: workspace.base,
      within,
      signal: world.signal,
      onWaiting(told) {
        waiting.push(told);
        onWaiting(told);
      },
    });
  return { ...world, mr, fault, merge, waiting };
}

describe('a status that a person must act on', () => {
  test.each([
    ['title_regex', /the project asks for another form of title/],
    ['jira_association_missing', /a Jira issue in each title: do not require it/],
  ])('%s, which waiting does not change, fails at once with what to do', async (status, remedy) => {
    const { merge, mr } = await said({ detailed_merge_status: status });
    const failure = await merge(600_000).catch((thrown) => thrown);
    expect(failure).toMatchObject({ code: 'merge_refused', message: expect.stringMatching(remedy) });
    expect(failure.message).toContain(`(${status}, ${mr.webUrl})`);
  });

  test.each([
    ['not_approved', /approve it/],
    ['requested_changes', /a reviewer has requested changes/],
    ['discussions_not_resolved', /resolve them/],
    ['draft_status', /mark it as ready/],
    ['merge_request_blocked', /blocked by another merge request/],
    ['security_policy_violations', /violates a security policy/],
    ['locked_paths', /unlock them/],
    ['locked_lfs_files', /unlock them/],
  ])('%s is told at once, and may pass until the deadline', async (status, remedy) => {
    const { merge, mr, fault, waiting, forge, signal } = await said({ detailed_merge_status: status });
    await expect(merge(0)).rejects.toMatchObject({
      code: 'merge_refused',
      message: expect.stringMatching(remedy),
    });
    expect(waiting).toEqual([{ status, remedy: expect.stringMatching(remedy), webUrl: mr.webUrl }]);
    expect(await merge(20_000, () => fault.remove())).toBe(await forge.branchTip(TARGET, signal));
  });

  test.each([
    ['status_checks_must_pass', /external status checks must pass/],
    ['security_policy_pipeline_check', /pipelines of a security policy must succeed/],
    ['ci_must_pass', /its pipeline must succeed/],
  ])('%s, which a machine answers, is told at once with what to see to', async (status, remedy) => {
    const { merge, waiting } = await said({ detailed_merge_status: status });
    await expect(merge(0)).rejects.toMatchObject({
      code: 'merge_not_ready',
      message: expect.stringMatching(remedy),
    });
    expect(waiting).toMatchObject([{ status, remedy: expect.stringMatching(remedy) }]);
  });
});

test.each(['approvals_syncing', 'merge_time', 'commits_status', 'something_new'])(
  '%s is waited for and tells nobody to act',
  async (status) => {
    const { merge, fault, waiting, forge, signal } = await said({ detailed_merge_status: status });
    expect(await merge(20_000, () => fault.remove())).toBe(await forge.branchTip(TARGET, signal));
    expect(waiting[0]).toMatchObject({ status, remedy: null });
  },
);

test('commits_status of a branch that is gone fails at once', async () => {
  const { merge, human } = await said({ detailed_merge_status: 'commits_status' });
  await human('DELETE', '/repository/branches/iib-request-1-v4.19');
  await expect(merge(600_000)).rejects.toMatchObject({
    code: 'merge_refused',
    message: expect.stringMatching(/somebody deleted iib-request-1-v4\.19 after it was built/),
  });
});

describe('a merge that was run and failed', () => {
  test.each([422, 200])('is told by merge_error at once, whatever the status: %i', async (status) => {
    const { gitlab, proposed, human } = await gitlabWorld();
    const { merge, mr } = await proposed();
    const hook = 'Something went wrong during merge pre-receive hook. GitLab: no releases on Saturday';
    if (status === 422) {
      gitlab.faults.refuse({ refusal: 'merge-hook', values: { said: 'no releases on Saturday' }, times: 9 });
    } else {
      await gitlab.settled();
      const body = (await human('GET', `/merge_requests/${mr.iid}`)) as object;
      const failed = { status: 200, body: { ...body, merge_error: hook } };
      gitlab.faults.call({ method: 'PUT', path: /\/merge$/, answer: failed, times: 9 });
      gitlab.faults.call({ method: 'GET', path: /\/merge_requests\/1$/, answer: failed, skip: 1, times: 9 });
    }
    await expect(merge(600_000)).rejects.toMatchObject({
      code: 'merge_refused',
      message: `Failed to merge merge request 1: ${hook}: what declined it must be changed, or exempt the token's user (${mr.webUrl})`,
    });
  });

  test('and whose merge_error is of an earlier attempt is tried again', async () => {
    const { gitlab, forge, signal, proposed } = await gitlabWorld();
    const { merge } = await proposed();
    gitlab.faults.refuse({ refusal: 'merge-hook', values: { said: 'not now' } });
    await expect(merge()).rejects.toMatchObject({ code: 'merge_refused' });
    // Another merge is under way: refused, and the old reason still stands there.
    gitlab.faults.refuseMerge({ status: 422 });
    expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
  });

  test('and does not say why is refused after some tries', async () => {
    const { gitlab, proposed } = await gitlabWorld();
    const { merge } = await proposed();
    const fault = gitlab.faults.refuse({ refusal: 'merge-error', times: Number.POSITIVE_INFINITY });
    await expect(merge(600_000)).rejects.toMatchObject({
      code: 'merge_refused',
      message: 'Failed to merge merge request 1: An error occurred while merging',
    });
    expect(fault.hits).toBe(3);
  });
});

test('a merged commit stands until a later commit reverts its merge request, and again when that is reverted', async () => {
  const { forge, signal, human, proposed } = await gitlabWorld();
  const { merge, mr, workspace } = await proposed();
  const merged = await merge();
  const stands = async () =>
    (
      await forge.standingCommits({ branch: TARGET, base: workspace.base, head: merged, mergeRequest: mr.iid }, signal)
    ).includes(merged);
  expect(await stands()).toBe(true);
  const { id, message } = (await human('POST', `/repository/commits/${merged}/revert`, { branch: TARGET })) as {
    id: string;
    message: string;
  };
  expect(message).toContain(`This reverts merge request !${mr.iid}`);
  expect(await stands()).toBe(false);
  await human('POST', `/repository/commits/${id}/revert`, { branch: TARGET });
  expect(await stands()).toBe(true);
});
