import pLimit from 'p-limit';
import { describe, expect, test } from 'vitest';
import { patiently } from '../../src/errors/retry.ts';
import { SOAK } from '../support/soak.ts';
import { gitlabWorld, proposal, SOURCE, TARGET } from './gitlab-world.ts';

/**
 * GitLab processes pushes in the background: until then git has a branch that REST does not know, or knows as it was.
 */
const LATE = { from: 600_000, to: 600_000, seed: 1 };
const after = (milliseconds: number) => ({ pushDelay: { from: milliseconds, to: milliseconds, seed: 1 } });

describe('opening a merge request', () => {
  test('waits for its branch, says so once, and opens one', async () => {
    const { forge, signal, pushed, openMergeRequests } = await gitlabWorld({}, after(1200));
    const workspace = await pushed();
    const waited: string[] = [];
    const onWaiting = (reason: string) => waited.push(reason);
    const mr = await forge.openMergeRequest({ ...proposal(workspace), onWaiting }, signal);
    expect(mr).toMatchObject({ iid: 1, state: 'opened', sha: workspace.head() });
    expect(waited).toEqual(['source_branch: does not exist']);
    expect(await openMergeRequests()).toHaveLength(1);
  });

  test('says at the end of its time what to look at', async () => {
    const { forge, signal, pushed } = await gitlabWorld({}, { pushDelay: LATE });
    const workspace = await pushed();
    await expect(forge.openMergeRequest({ ...proposal(workspace), within: 400 }, signal)).rejects.toMatchObject({
      code: 'branch_not_visible',
      message: expect.stringMatching(
        /does not know the pushed branch iib-request-1.*Sidekiq.*deadlines\.branchAppears/,
      ),
    });
  });

  test('does not wait for what was not pushed, or is not there any more as it was pushed', async () => {
    const { forge, signal, pushed } = await gitlabWorld({}, { pushDelay: LATE });
    const first = await pushed();
    await pushed();
    await expect(forge.openMergeRequest(proposal(first), signal)).rejects.toMatchObject({
      code: 'gitlab_refused',
      message: `Failed to create merge request: somebody pushed to ${SOURCE} meanwhile`,
    });
    const nowhere = { ...proposal(first), sourceBranch: 'never-pushed' };
    await expect(forge.openMergeRequest(nowhere, signal)).rejects.toMatchObject({
      code: 'gitlab_refused',
      message: 'Failed to create merge request: 400: source_branch: does not exist',
    });
  });

  test('adopts the one that a refusal names before the list shows it', async () => {
    const { gitlab, forge, signal, proposed } = await gitlabWorld();
    const { workspace } = await proposed();
    const empty = gitlab.faults.call({
      method: 'GET',
      path: /\/merge_requests$/,
      answer: { status: 200, body: [] },
      times: 2,
    });
    expect(await forge.openMergeRequest(proposal(workspace, 'again'), signal)).toMatchObject({ iid: 1 });
    expect(empty.hits).toBe(2);
  });
});

test('a branch is read from git, which shows a push at once', async () => {
  const { forge, signal, human, pushed } = await gitlabWorld({}, { pushDelay: LATE });
  const workspace = await pushed();
  expect(await forge.branchTip(SOURCE, signal)).toBe(workspace.head());
  await workspace.land(signal);
  expect(await forge.branchTip(TARGET, signal)).toBe(workspace.head());
  expect(await human('GET', `/repository/branches/${TARGET}`)).toMatchObject({ commit: { id: workspace.base } });
});

test('deleting a branch that REST does not know yet is tried again and deletes it', async () => {
  const { forge, signal, pushed } = await gitlabWorld({}, after(800));
  await pushed();
  await expect(forge.deleteBranch(SOURCE, signal)).rejects.toMatchObject({
    code: 'gitlab_unavailable',
    message: expect.stringMatching(/does not know the pushed branch yet$/),
  });
  await expect.poll(() => forge.deleteBranch(SOURCE, signal).catch(({ code }) => code), POLL).toBeUndefined();
  expect(await forge.branchTip(SOURCE, signal)).toBeNull();
});

const POLL = { timeout: 20_000, interval: 200 };

test('a merge waits until the merge request has the pushed head', async () => {
  const { forge, signal, proposed, pushed } = await gitlabWorld({}, after(700));
  const { mr } = await proposed();
  const again = await pushed();
  expect((await forge.readMergeRequest(mr.iid, signal)).sha).not.toBe(again.head());
  const merge = { iid: mr.iid, sha: again.head(), targetBranch: TARGET, base: again.base, within: 20_000, signal };
  expect(await forge.mergeWhenReady(merge)).toBe(await forge.branchTip(TARGET, signal));
});

test('commits_status of a branch that is there is waited out', async () => {
  const { forge, gitlab, signal, proposed } = await gitlabWorld({}, { release: 'older', ...after(1500) });
  const { merge } = await proposed();
  const seen = gitlab.faults.call({ method: 'GET', path: /merge_requests\/1$/, delay: 0 });
  expect(await merge()).toBe(await forge.branchTip(TARGET, signal));
  expect(seen.hits).toBe(1);
});

const MANY = SOAK ? 200 : 6;
const LATEST = SOAK ? 60_000 : 1500;

test(`${MANY} branches that are known at random moments: each gets one merge request, and goes`, {
  timeout: 900_000,
}, async () => {
  const options = { pushDelay: { from: 0, to: LATEST, seed: 5 } };
  const { gitlab, forge, signal, changed, human } = await gitlabWorld({}, options);
  const workspace = await changed();
  const patience = { total: 300_000, first: 250, longest: 5000 };
  const patient = <T>(work: () => Promise<T>) => patiently(patience, signal, work);
  const waited: string[] = [];
  const propose = async (sourceBranch: string) => {
    await patient(() => workspace.push(sourceBranch, signal));
    const onWaiting = () => waited.push(sourceBranch);
    const wanted = { ...proposal(workspace), sourceBranch, within: 300_000, onWaiting };
    const mr = await patient(() => forge.openMergeRequest(wanted, signal));
    await patient(() => forge.closeMergeRequest(mr.iid, signal));
    await patient(() => forge.deleteBranch(sourceBranch, signal));
    return mr.iid;
  };
  const atOnce = pLimit(40);
  const names = Array.from({ length: MANY }, (_, at) => `iib-request-${at}-v4.19`);
  const iids = await Promise.all(names.map((name) => atOnce(() => propose(name))));
  expect(iids.toSorted((one, other) => one - other)).toEqual(names.map((_, at) => at + 1));
  expect(waited.length).toBeGreaterThan(0);
  await gitlab.settled();
  const left = (await human('GET', '/repository/branches?per_page=100')) as { name: string }[];
  expect(left.map(({ name }) => name)).toEqual([TARGET]);
});
