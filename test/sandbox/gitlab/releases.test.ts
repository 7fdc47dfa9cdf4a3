import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startGitLab } from '../../../src/sandbox/gitlab/server.ts';
import { caller, commitFile, gitFor, receiver, scene } from './scene.ts';

/** So long that nothing is processed while a test looks. */
const LATE = { from: 600_000, to: 600_000, seed: 1 };
const SOON = { from: 300, to: 300, seed: 1 };

/** A scene whose branch `late` was pushed by git. */
async function pushed(options: Parameters<typeof scene>[1]) {
  const world = await scene({}, options);
  const clone = join(world.dir, 'clone');
  await world.git('clone', '--quiet', world.remote, clone);
  const sha = await commitFile(world.git, clone, 'x', 'x');
  await world.git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:late');
  const request = { source_branch: 'late', target_branch: 'main', title: 't' };
  return { ...world, sha, clone, create: () => world.api('POST', `${world.at}/merge_requests`, request) };
}

describe('a push that is not processed yet', () => {
  test('shows in git and not in REST; the newest opens no merge request', async () => {
    const { api, at, git, remote, sha, create } = await pushed({ pushDelay: LATE });
    expect(await git('ls-remote', remote, 'refs/heads/late')).toContain(sha);
    const refused = await create();
    expect([refused.status, refused.body]).toEqual([400, { message: { source_branch: ['does not exist'] } }]);
    expect((await api('GET', `${at}/repository/branches/late`)).status).toBe(404);
    expect((await api('GET', `${at}/repository/branches`)).body.map((each: { name: string }) => each.name)).toEqual([
      'main',
    ]);
    expect((await api('DELETE', `${at}/repository/branches/late`)).body).toEqual({ message: '404 Branch Not Found' });
    // Files and commits are read from git.
    expect((await api('GET', `${at}/repository/commits/${sha}`)).status).toBe(200);
  });

  test('the older opens a merge request and says commits_status until it is', async () => {
    const { sha, create, request, merge, gitlab } = await pushed({ release: 'older', pushDelay: SOON });
    const made = await create();
    expect([made.status, made.body.sha]).toEqual([201, sha]);
    const early = await request(1);
    if (early.detailed_merge_status !== 'mergeable') expect((await merge(1)).status).toBe(405);
    await gitlab.settled();
    await request(1);
    await gitlab.settled();
    expect((await request(1)).detailed_merge_status).toBe('mergeable');
  });

  test('is told by hooks only then, in the order of the pushes', async () => {
    const { gitlab, path, clone, git, sha, tip } = await pushed({ pushDelay: SOON });
    const hooks = await receiver();
    gitlab.addHook(path, { url: hooks.url });
    const next = await commitFile(git, clone, 'y', 'y');
    await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:late');
    expect(await tip('late')).toBe(next);
    expect(hooks.waiting.map(({ body }) => body.after)).toEqual([sha, next]);
  });

  test('leaves a merge request at its old head until then', async () => {
    const { git, clone, create, request, gitlab, sha } = await pushed({ pushDelay: SOON });
    await gitlab.settled();
    await create();
    await gitlab.settled();
    const next = await commitFile(git, clone, 'y', 'y');
    await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:late');
    expect((await request(1)).sha).toBe(sha);
    await gitlab.settled();
    expect((await request(1)).sha).toBe(next);
  });

  test('is processed at once when REST changes the branch, and is not lost when the server stops', async () => {
    const { api, at, dir, gitlab, git, clone, bot } = await pushed({ pushDelay: SOON });
    await gitlab.settled();
    await gitlab.close();
    const again = await startGitLab({ dir: join(dir, 'server'), port: gitlab.port, pushDelay: LATE });
    const next = await commitFile(git, clone, 'y', 'y');
    await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:late');
    const actions = [{ action: 'create', file_path: 'z', content: 'z' }];
    const made = await api('POST', `${at}/repository/commits`, { branch: 'late', commit_message: 'm', actions });
    expect(made.body.parent_ids).toEqual([next]);
    await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:other');
    await again.close();
    const third = await startGitLab({ dir: join(dir, 'server'), port: gitlab.port, pushDelay: LATE });
    try {
      const rest = caller(third.url, bot.token);
      expect((await rest('GET', `${at}/repository/branches/late`)).body.commit.id).toBe(made.body.id);
      expect((await rest('GET', `${at}/repository/branches/other`)).status).toBe(404);
      expect((await rest('DELETE', `${at}/repository/branches/other`)).status).toBe(404);
    } finally {
      await third.close();
    }
  });
});

describe.each(['older', 'newest'] as const)('the %s GitLab', (release) => {
  test('checks a merge in its own order', async () => {
    const { gitlab, api, at, commit, open, checked, merge, project } = await scene({}, { release });
    await commit('one', { 'README.md': 'one\n' }, 'main');
    await commit('main', { 'README.md': 'main\n' });
    const iid = await open('one');
    expect((await checked(iid)).detailed_merge_status).toBe('conflict');
    const answers = [await merge(iid), await merge(iid, { sha: project.sha })];
    expect(answers.map(({ status, body }) => [status, body.message])).toEqual(
      release === 'older'
        ? [
            [422, 'Branch cannot be merged'],
            [422, 'Branch cannot be merged'],
          ]
        : [
            [405, '405 Method Not Allowed'],
            [409, expect.stringMatching(/^SHA does not match HEAD of source branch: /)],
          ],
    );
    gitlab.faults.refuse({ refusal: 'maintenance' });
    const { status } = await api('POST', `${at}/merge_requests`, {});
    expect(status).toBe(release === 'older' ? 403 : 503);
  });

  test('tells by merge_error why a merge was run and failed', async () => {
    const { gitlab, commit, open, checked, merge, request } = await scene({}, { release });
    await commit('one', { x: '1' }, 'main');
    const iid = await open('one');
    await checked(iid);
    gitlab.faults.refuse({ refusal: 'merge-hook', values: { said: 'no releases on Saturday' } });
    const refused = await merge(iid);
    expect([refused.status, refused.body]).toEqual([422, { message: 'Branch cannot be merged' }]);
    expect(await request(iid)).toMatchObject({
      state: 'opened',
      merge_error: 'Something went wrong during merge pre-receive hook. GitLab: no releases on Saturday',
      detailed_merge_status: 'mergeable',
    });
    expect((await merge(iid)).body.state).toBe('merged');
  });

  test('refuses to delete branches and to push to an archived project in its own words', async () => {
    const { gitlab, path, git, remote, dir, api, at, root, tip } = await scene({}, { release });
    for (const name of ['keep', 'drop']) await api('POST', `${at}/repository/branches`, { branch: name, ref: 'main' });
    await root('POST', `${at}/protected_branches`, { name: 'keep' });
    const remove = async (name: string, call = api) => {
      const { status, body } = await call('DELETE', `${at}/repository/branches/${name}`);
      return [status, body.message];
    };
    const reader = gitlab.createUser({ username: 'reader' });
    gitlab.addMember(path, 'reader', 20);
    expect(await remove('drop', caller(gitlab.url, reader.token))).toEqual([405, 'You dont have push access to repo']);
    expect(await remove('main')).toEqual([400, 'GitLab: The default branch of a project cannot be deleted.']);
    expect(await remove('keep')).toEqual([400, expect.stringMatching(/^GitLab: You are not allowed to delete prot/)]);
    gitlab.faults.refusePush({ message: 'Branches stay.' });
    expect(await remove('drop')).toEqual([400, 'GitLab: Branches stay.']);
    gitlab.addMember(path, 'bot', 40);
    expect(await remove('keep')).toEqual([204, undefined]);
    expect(await tip('keep')).toBeUndefined();

    const clone = join(dir, 'clone');
    await git('clone', '--quiet', remote, clone);
    await commitFile(git, clone, 'x', 'x');
    await root('POST', `${at}/archive`);
    const words = release === 'older' ? /not allowed to push code to this/ : /can't push code to an archived project/;
    await expect(gitFor(gitlab.adminToken)('-C', clone, 'push', 'origin', 'HEAD:x')).rejects.toThrow(words);
    expect((await api('POST', `${at}/merge_requests`, {})).status).toBe(403);
  });
});

test('what could be merged is checked once more now and then, for no reason', async () => {
  const { commit, open, request, gitlab } = await scene({}, { doubt: 0.5 });
  await commit('one', { x: '1' }, 'main');
  const iid = await open('one');
  const seen = new Set<string>();
  for (let look = 0; look < 20; look += 1) {
    await gitlab.settled();
    seen.add((await request(iid)).detailed_merge_status);
  }
  expect([...seen].sort()).toEqual(['checking', 'mergeable']);
});
