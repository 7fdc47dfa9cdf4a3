import { expect, test } from 'vitest';
import type { ErrorCode } from '../../src/errors/policy.ts';
import { REFUSALS } from '../../src/sandbox/gitlab/refusals.ts';
import type { Release } from '../../src/sandbox/gitlab/release.ts';
import { type GitLabWorld, gitlabWorld, PROJECT, proposal, SOURCE, TARGET } from './gitlab-world.ts';

/**
 * What the client makes of each row of the imitation's table: the code of the failure and what its message has to say, or
 * `waits`: the call is tried again and succeeds once the refusal is over.
 */
type Outcome = 'waits' | [code: ErrorCode, words?: RegExp];

const OUTCOMES: Record<string, Outcome> = {
  'create-source-unknown': 'waits',
  'create-target-unknown': 'waits',
  'create-source-unknown-sentence': 'waits',
  'create-duplicate': ['gitlab_refused', /Another open merge request already exists/],
  'create-same-branches': ['gitlab_refused', /422: You can't use same project\/branch/],
  'create-title-missing': ['gitlab_refused', /400: title is missing/],
  'create-forbidden': ['gitlab_denied', /role or scopes/],

  'merge-unauthorized': ['merge_refused', /allow it in the branch's protection/],
  'merge-sha': 'waits',
  'merge-sha-required': 'waits',
  'merge-not-ready': 'waits',
  'merge-conflict': 'waits',
  'merge-conflict-406': 'waits',
  'merge-failed': 'waits',
  'merge-hook': ['merge_refused', /GitLab: no releases on Saturday: what declined it must be changed, or exempt/],
  'merge-hook-500': 'waits',
  'merge-hook-unreachable': 'waits',
  'merge-error': 'waits',
  'merge-head-moved': 'waits',
  'merge-not-fast-forward': ['target_moved', /Only fast-forward merge/],
  'merge-conflicts-detected': ['target_moved', /Conflicts detected/],

  'delete-unknown': ['gitlab_unavailable', /does not know the pushed branch yet/],
  'delete-not-processed': ['gitlab_unavailable', /does not know the pushed branch yet/],
  'delete-no-right': ['gitlab_refused', /405: .*: let the token's user push to branches of this name/],
  'delete-protected': ['gitlab_refused', /400: .*protected branches.*: a rule or hook of the project forbids it/],
  'delete-default': ['gitlab_refused', /400: .*default branch/],
  'delete-hook': ['gitlab_refused', /no releases on Saturday: a rule or hook of the project forbids it/],
  'delete-hook-500': ['gitlab_unavailable'],

  // The branch is as it was before the merge: nothing is left to revert.
  'revert-empty': 'waits',
  'revert-conflict': ['gitlab_refused', /cannot \{kind\} this commit automatically/],
  'revert-forbidden': ['gitlab_denied', /not allowed to push into this branch/],

  'push-archived': ['gitlab_denied'],
  'push-no-right': ['gitlab_denied', /check the role/],
  'push-instance-read-only': ['gitlab_unavailable', /read-only GitLab instance/],
  'push-repository-read-only': ['gitlab_unavailable', /temporarily read-only/],
  'push-gitaly-away': ['gitlab_unavailable', /Gitaly/],
  'push-protected': ['push_refused', /protected branches/],
  'push-rule': ['push_refused', /no releases on Saturday/],
  'push-api-away': ['gitlab_unavailable', /API is not accessible/],
  'push-api-unreachable': ['gitlab_unavailable', /Internal API unreachable/],
  'push-api-500': ['gitlab_unavailable', /500 Internal Server Error/],

  maintenance: ['gitlab_unavailable', /maintenance|read-only instance/],
  // The merge waits inside, as for every answer that does not tell what came of it.
  'maintenance-merge': 'waits',
  'maintenance-delete': ['gitlab_unavailable', /read-only instance/],
  'rate-limit': ['gitlab_unavailable', /HTTP 429 \(Retry later\)/],
  'rate-limit-application': ['gitlab_unavailable', /requested too many times/],
  'bad-gateway': ['gitlab_unavailable', /HTTP 502 \(502 Bad Gateway\)/],
  'time-out': ['gitlab_unavailable', /Request timed out/],
  'token-wrong': ['gitlab_denied', /wrong, expired or revoked/],
  'token-expired': ['gitlab_denied', /Token is expired/],
  'token-scope': ['gitlab_denied', /scopes \(api, write_repository\)/],
};

test('each row has an outcome, and each outcome a row', () => {
  expect([...new Set(REFUSALS.map(({ name }) => name))].sort()).toEqual(Object.keys(OUTCOMES).sort());
});

test('a call has one row of a name for each release', () => {
  for (const release of ['older', 'newest'] as const) {
    const names = REFUSALS.filter(({ releases }) => releases === 'both' || releases === release).map(
      ({ name }) => name,
    );
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  }
});

/** Milliseconds: on a busy machine twenty merges with their waits take a minute. */
const MANY_ROWS = 300_000;

const CALL_NAMES = ['create merge request', 'merge', 'delete branch', 'revert', 'push', 'any read'] as const;

/** The newest has all rows; of the older those of opening one, and what it alone answers. */
function rowsOf(release: Release, call: (typeof CALL_NAMES)[number]) {
  const whole = release === 'newest' || call === 'create merge request';
  return REFUSALS.filter(
    (row) => row.call === call && (row.releases === release || (whole && row.releases === 'both')),
  );
}

test.each(
  (['older', 'newest'] as const).flatMap((release) =>
    CALL_NAMES.filter((call) => rowsOf(release, call).length > 0).map((call) => [release, call] as const),
  ),
)('the refusals of the %s GitLab: %s', { timeout: MANY_ROWS }, async (release, call) => {
  const world = await gitlabWorld({}, { release, pushDelay: { from: 0, to: 0, seed: 1 } });
  for (const { name } of rowsOf(release, call)) {
    const injected = world.gitlab.faults.refuse({ refusal: name, values: { said: 'no releases on Saturday' } });
    const outcome = await CALLERS[call](world).then(
      () => 'waits' as const,
      ({ code, message }) => [code, message],
    );
    const expected = OUTCOMES[name];
    const message = Array.isArray(expected) && expected[1] ? expect.stringMatching(expected[1]) : expect.anything();
    const wanted = Array.isArray(expected) ? [expected[0], message] : expected;
    expect({ name, outcome }).toEqual({ name, outcome: wanted });
    expect({ name, hits: injected.hits }).toEqual({ name, hits: 1 });
    await cleared(world);
  }
});

const CALLERS: Record<(typeof REFUSALS)[number]['call'], (world: GitLabWorld) => Promise<unknown>> = {
  'create merge request': async ({ forge, pushed, signal }) => forge.openMergeRequest(proposal(await pushed()), signal),
  merge: async ({ proposed }) => (await proposed()).merge(),
  'delete branch': async ({ forge, pushed, signal }) => {
    await pushed();
    await forge.deleteBranch(SOURCE, signal);
  },
  revert: async ({ forge, signal }) => {
    const sha = await forge.branchTip(TARGET, signal);
    await forge.revertMerge({ sha: sha ?? '', branch: TARGET }, signal);
  },
  push: ({ pushed }) => pushed(),
  'any read': ({ forge, signal }) => forge.checkToken(signal),
};

/** No merge request and no branch of ours, for the next row. */
async function cleared({ gitlab, forge, human, signal }: GitLabWorld): Promise<void> {
  gitlab.faults.clear();
  await gitlab.settled();
  await forge.closeMergeRequestOf(SOURCE, signal);
  await forge.deleteBranch(SOURCE, signal);
  expect(await human('GET', '/merge_requests?state=opened')).toEqual([]);
}

test('an archived project is told as such before anything is pushed', async () => {
  const { forge, human, signal } = await gitlabWorld();
  await human('POST', '/archive');
  await expect(forge.checkToken(signal)).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: `The project ${PROJECT} is archived: unarchive it, or let the index have another catalog repository`,
  });
});

test('a push to an archived project says what to do', async () => {
  const { gitlab, pushed } = await gitlabWorld();
  gitlab.faults.refuse({ refusal: 'push-archived' });
  await expect(pushed()).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: expect.stringMatching(/the project is archived: unarchive it, .*: You can't push code to an archived/),
  });
});

test.each([
  [{ message: ['one', 'two'] }, 'one; two'],
  [{ message: { title: ["can't be blank", 'is short'], base: ['whole'] } }, "title: can't be blank, is short; whole"],
  [{ error: ['one', 'two'] }, 'one; two'],
  [{ error: { title: ['is odd'] } }, 'title: is odd'],
  [{ message: null, error: 'said' }, 'said'],
  [{ message: { error: 'nested' } }, 'nested'],
  [{ error: 'short', error_description: 'long' }, 'long'],
  [{ message: 17 }, '17'],
  [{ message: [] }, 'HTTP 400'],
  [{}, 'HTTP 400'],
  ['plain words', 'plain words'],
])('an error body %j is read as %s', async (body, words) => {
  const { gitlab, forge, signal } = await gitlabWorld();
  gitlab.faults.call({ path: /api\/v4\/projects/, answer: { status: 400, body } });
  await expect(forge.checkToken(signal)).rejects.toMatchObject({
    code: 'gitlab_refused',
    message: `GitLab answers 400 for ${PROJECT}: ${words}`,
  });
});
