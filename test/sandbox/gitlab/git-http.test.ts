import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commitFile, gitFor, scene } from './scene.ts';

test('a clone, a commit and a push', async () => {
  const { git, remote, dir, tip } = await scene();
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  expect(await readFile(join(clone, 'configs/a/catalog.yaml'), 'utf8')).toBe('a: 1\n');
  await git('-C', clone, 'checkout', '--quiet', '-b', 'feature/x');
  const sha = await commitFile(git, clone, 'new.txt', 'new\n');
  const said = await git('-C', clone, 'push', 'origin', 'feature/x');
  expect(said).toMatch(/remote: To create a merge request for feature\/x, visit:/);
  expect(await tip('feature/x')).toBe(sha);
});

test('shallow and partial clones, and blobs on demand', async () => {
  const { git, remote, dir } = await scene();
  const clone = join(dir, 'partial');
  await git('clone', '--quiet', '--filter=blob:none', '--depth', '1', '--no-checkout', remote, clone);
  const missing = await git('-C', clone, 'rev-list', '--objects', '--missing=print', 'HEAD');
  expect(missing.split('\n').filter((line) => line.startsWith('?'))).toHaveLength(3);
  await git('-C', clone, 'sparse-checkout', 'set', 'configs/b');
  await git('-C', clone, 'checkout', '--quiet', 'main');
  expect(await readFile(join(clone, 'configs/b/catalog.yaml'), 'utf8')).toBe('b: 1\n');
});

test('a commit can be fetched by its SHA', async () => {
  const { git, remote, dir, project } = await scene();
  const repository = join(dir, 'by-sha');
  await git('init', '--quiet', '--bare', repository);
  await git('-C', repository, 'fetch', '--quiet', '--depth', '1', remote, project.sha ?? '');
  expect((await git('-C', repository, 'rev-parse', 'FETCH_HEAD')).trim()).toBe(project.sha);
});

test('a large push arrives whole, compressed negotiation included', async () => {
  const { git, remote, dir, api, at } = await scene();
  const clone = join(dir, 'large');
  await git('clone', '--quiet', remote, clone);
  const bytes = randomBytes(6 * 1024 * 1024);
  await writeFile(join(clone, 'large.bin'), bytes);
  await git('-C', clone, 'add', '.');
  await git('-C', clone, 'commit', '--quiet', '-m', 'large');
  await git('-C', clone, 'push', '--quiet', 'origin', 'HEAD:large');
  const { headers } = await api('HEAD', `${at}/repository/files/large%2Ebin?ref=large`);
  expect(headers.get('x-gitlab-content-sha256')).toBe(createHash('sha256').update(bytes).digest('hex'));
});

test('without .git git is sent on, as Pipelines-as-Code needs it', async () => {
  const { git, gitlab, remote, path } = await scene();
  const bare = `${gitlab.url}/${path}`;
  const response = await fetch(`${bare}/info/refs?service=git-upload-pack`, { redirect: 'manual' });
  expect([response.status, response.headers.get('location')]).toEqual([
    301,
    `${remote}/info/refs?service=git-upload-pack`,
  ]);
  expect(await git('ls-remote', bare)).toContain('refs/heads/main');
});

test('who may read and push', async () => {
  const { gitlab, remote, path, dir, git } = await scene();
  const anonymous = await fetch(`${remote}/info/refs?service=git-upload-pack`);
  expect(anonymous.status).toBe(401);
  expect(anonymous.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
  await expect(gitFor('wrong')('ls-remote', remote)).rejects.toThrow(/HTTP Basic: Access denied/);

  const stranger = gitlab.createUser({ username: 'stranger' });
  await expect(gitFor(stranger.token)('ls-remote', remote)).rejects.toThrow(/not found/);

  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  await commitFile(git, clone, 'x', 'x');
  gitlab.addMember(path, 'stranger', 20);
  await gitFor(stranger.token)('ls-remote', remote);
  const push = (token: string) => gitFor(token)('-C', clone, 'push', 'origin', 'HEAD:refs/heads/x');
  await expect(push(stranger.token)).rejects.toThrow(/not allowed to push code to this project.*403/s);
  await expect(push(gitlab.createToken('bot', { scopes: ['read_repository'] }))).rejects.toThrow(/403/);
  await expect(push(gitlab.createToken('bot', { expires_at: '2020-01-01' }))).rejects.toThrow(/Access denied/);
  await push(gitlab.createToken('bot', { scopes: ['write_repository'] }));
});

test('protected branches refuse', async () => {
  const { gitlab, remote, path, dir, git, tip } = await scene({ protection: 'maintainers' });
  const clone = join(dir, 'clone');
  await git('clone', '--quiet', remote, clone);
  const before = await tip('main');
  const first = await commitFile(git, clone, 'x', 'x');
  await expect(git('-C', clone, 'push', 'origin', 'HEAD:main')).rejects.toThrow(
    /remote: GitLab: You are not allowed to push code to protected branches on this project\.[\s\S]*pre-receive hook declined/,
  );
  expect(await tip('main')).toBe(before);

  gitlab.addMember(path, 'bot', 40);
  await git('-C', clone, 'push', 'origin', 'HEAD:main');
  expect(await tip('main')).toBe(first);
  await git('-C', clone, 'reset', '--quiet', '--hard', before);
  await commitFile(git, clone, 'y', 'y');
  await expect(git('-C', clone, 'push', 'origin', 'HEAD:main')).rejects.toThrow(/fetch first|non-fast-forward/);
  await expect(git('-C', clone, 'push', '--force', 'origin', 'HEAD:main')).rejects.toThrow(
    /not allowed to force push code to a protected branch/,
  );
  // Other branches may be forced.
  await git('-C', clone, 'push', 'origin', `${first}:refs/heads/free`);
  await git('-C', clone, 'push', '--force', 'origin', 'HEAD:free');
  await expect(git('-C', clone, 'push', 'origin', ':main')).rejects.toThrow(
    /default branch of a project cannot be deleted/,
  );
});
