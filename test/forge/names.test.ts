import { expect, test } from 'vitest';
import { assertBranchName, assertPackageName, assertRepositoryPath, sourceBranch } from '../../src/forge/names.ts';
import { parseRepositoryUrl } from '../../src/forge/repository-url.ts';

test.each(['etcd', '3scale-operator', 'a', 'a.b-c.0'])('%s is a package name', (name) => {
  expect(assertPackageName(name)).toBe(name);
});

test.each(['', '.', '..', 'a..b', '/etc', 'a/b', 'Etcd', '-a', 'a-', '_x', 'a\n', 'a b', '.git'])(
  '%j is no package name',
  (name) => {
    expect(() => assertPackageName(name)).toThrow(expect.objectContaining({ code: 'package_name_unsafe' }));
  },
);

test.each(['', '/', '../x', 'configs/../../x', '/etc/passwd', 'configs//x', '.git/hooks', 'a/.GIT', 'a\\b', 'a\0b'])(
  '%j is no path in a repository',
  (path) => {
    expect(() => assertRepositoryPath(path)).toThrow(expect.objectContaining({ code: 'package_name_unsafe' }));
  },
);

test.each(['', '-x', '--upload-pack=x', 'a..b', 'a.lock', 'a b', 'a:b', '/a', 'a/', 'a//b', 'a~1', 'a\nb'])(
  '%j is no branch name',
  (name) => {
    expect(() => assertBranchName(name)).toThrow(expect.objectContaining({ code: 'branch_missing' }));
  },
);

test('source branches are named as the Pipelines-as-Code expressions expect', () => {
  expect(sourceBranch({ environment: 'prod', request: 12, branch: 'v4.19' })).toBe('iib-prod-request-12-v4.19');
  expect(sourceBranch({ request: 12, branch: 'v4.19' })).toBe('iib-request-12-v4.19');
});

test.each([
  ['https://gitlab.example.com/group/sub/catalog.git', 'https://gitlab.example.com', 'group/sub/catalog'],
  ['https://gitlab.example.com/group/catalog/', 'https://gitlab.example.com', 'group/catalog'],
  ['http://127.0.0.1:8080/a/b/c/d', 'http://127.0.0.1:8080', 'a/b/c/d'],
])('%s is a project', (text, host, project) => {
  expect(parseRepositoryUrl(text)).toEqual({ text, host, project, git: `${host}/${project}.git` });
});

test.each([
  [
    'git@gitlab.example.com:group/catalog.git',
    'Unsupported repository URL format: git@gitlab.example.com:group/catalog.git',
  ],
  [
    'ssh://gitlab.example.com/group/catalog',
    'Unsupported repository URL format: ssh://gitlab.example.com/group/catalog',
  ],
  ['https://gitlab.example.com', 'Invalid GitLab repository URL format: https://gitlab.example.com'],
  ['https://gitlab.example.com/catalog', 'Invalid GitLab repository URL format: https://gitlab.example.com/catalog'],
  ['https:///group/catalog?x', 'Invalid GitLab repository URL format: https:///group/catalog?x'],
])('%s is none', (text, message) => {
  expect(() => parseRepositoryUrl(text)).toThrow(expect.objectContaining({ code: 'configuration_invalid', message }));
});

test('credentials in a URL are refused and not repeated', () => {
  const parse = () => parseRepositoryUrl('https://user:hunter2@gitlab.example.com/group/catalog');
  expect(parse).toThrow(/must not hold credentials/);
  expect(parse).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
});
