import { expect, test } from 'vitest';
import { gitlabWorld, PROJECT, SOURCE, TARGET } from './gitlab-world.ts';

test('a declined push is told in GitLab’s words, and leaves no branch', async () => {
  const { gitlab, forge, signal, pushed } = await gitlabWorld();
  gitlab.faults.refusePush({ message: 'You are not allowed to push code to protected branches on this project.' });
  await expect(pushed()).rejects.toMatchObject({
    code: 'push_refused',
    message: expect.stringMatching(
      /^Error pushing changes to git repo http\S+: .*You are not allowed to push code to protected branches/,
    ),
  });
  expect(await forge.branchTip(SOURCE, signal)).toBeNull();
  await pushed();
  expect(await forge.branchTip(SOURCE, signal)).not.toBeNull();
});

test('a push whose connection is cut after it was done has happened', async () => {
  const { gitlab, forge, signal, pushed } = await gitlabWorld();
  gitlab.faults.call({ method: 'POST', path: /git-receive-pack$/, when: 'after', answer: 'drop' });
  const workspace = await pushed();
  expect(await forge.branchTip(SOURCE, signal)).toBe(workspace.head());
});

test('a protected source branch is not pushed to', async () => {
  const { human, pushed } = await gitlabWorld();
  await human('POST', '/protected_branches', { name: 'iib-*', push_access_level: 0 });
  await expect(pushed()).rejects.toMatchObject({ code: 'push_refused' });
});

test('the same URL with .git, and a token that only reads', async () => {
  const { gitlab, forgeWith, pushed, signal } = await gitlabWorld();
  await pushed();
  const token = gitlab.createToken('indexwright', { name: 'reader', scopes: ['read_api', 'read_repository'] });
  const reader = forgeWith({ url: `${gitlab.url}/${PROJECT}.git`, token });
  expect(await reader.tip(TARGET, signal)).toBe(await reader.branchTip(TARGET, signal));
  await expect(reader.deleteBranch(SOURCE, signal)).rejects.toMatchObject({ code: 'gitlab_denied' });
});

test('a project that is not there, and a token that has expired', async () => {
  const { gitlab, forge, forgeWith, signal } = await gitlabWorld();
  await expect(forgeWith({ url: `${gitlab.url}/catalogs/none` }).tip(TARGET, signal)).rejects.toMatchObject({
    code: 'gitlab_denied',
  });
  gitlab.revokeTokens('indexwright');
  await expect(forge.tip(TARGET, signal)).rejects.toMatchObject({
    code: 'gitlab_denied',
    message: expect.stringMatching(/refused the token: check that it is right and has not expired/),
  });
});
