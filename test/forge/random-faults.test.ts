import { expect, test } from 'vitest';
import { type Patience, patiently } from '../../src/errors/retry.ts';
import { SOAK } from '../support/soak.ts';
import { gitlabWorld, proposal, SOURCE, TARGET } from './gitlab-world.ts';

/** As a delivery is patient, only faster. */
const PATIENCE: Patience = { total: 120_000, first: 10, longest: 200 };
const SEEDS = SOAK ? Array.from({ length: 100 }, (_, at) => at + 1) : [1, 2];

test.each(
  SEEDS.flatMap((seed) => [
    [seed, 'newest' as const],
    [seed, 'older' as const],
  ]),
)(
  'whatever goes wrong with calls (seed %i, %s), one merge request is merged, and what is undone is gone',
  async (seed, release) => {
    const options = { release, pushDelay: { from: 0, to: 600, seed }, doubt: 0.3 };
    const { gitlab, forge, signal, human, changed } = await gitlabWorld({}, options);
    const patient = <T>(work: () => Promise<T>) => patiently(PATIENCE, signal, work);
    const workspace = await changed();
    const faults = gitlab.faults.random({ seed, share: 0.25 });

    // What a failed delivery does and undoes, and then one that succeeds.
    for (const end of ['undo', 'merge'] as const) {
      await patient(() => workspace.push(SOURCE, signal));
      const mr = await patient(() => forge.openMergeRequest(proposal(workspace), signal));
      if (end === 'undo') {
        await patient(() => forge.closeMergeRequestOf(SOURCE, signal));
        await patient(() => forge.deleteBranch(SOURCE, signal));
        expect(await patient(() => forge.branchTip(SOURCE, signal))).toBeNull();
        continue;
      }
      const [sha, base] = [workspace.head(), workspace.base];
      const merge = { iid: mr.iid, sha, targetBranch: TARGET, base, within: 60_000, signal };
      const merged = await patient(() => forge.mergeWhenReady(merge));
      expect(await patient(() => forge.branchTip(TARGET, signal))).toBe(merged);
    }

    expect(faults.hits).toBeGreaterThan(0);
    gitlab.faults.clear();
    await gitlab.settled();
    const all = (await human('GET', '/merge_requests?state=all')) as { state: string }[];
    expect(all.map(({ state }) => state).sort()).toEqual(['closed', 'merged']);
    expect(await forge.branchTip(SOURCE, signal)).toBeNull();
  },
);

test('the same seed brings the same faults', async () => {
  const walk = async () => {
    const { gitlab, forge, signal } = await gitlabWorld();
    gitlab.faults.random({ seed: 7, share: 0.5 });
    const outcomes: string[] = [];
    for (let call = 0; call < 20; call += 1) {
      outcomes.push(
        await forge.checkToken(signal).then(
          () => 'well',
          ({ message }: Error) => message,
        ),
      );
    }
    return outcomes;
  };
  const [one, other] = [await walk(), await walk()];
  expect(one).toEqual(other);
  expect(new Set(one).size).toBeGreaterThan(3);
});
