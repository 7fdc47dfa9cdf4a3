import { expect, test } from 'vitest';
import { type CelValue, cel } from '../../../src/sandbox/pac/cel.ts';
import { readCommand } from '../../../src/sandbox/pac/comment.ts';
import { anyGlob, glob } from '../../../src/sandbox/pac/glob.ts';
import { cleanLabel } from '../../../src/sandbox/pac/metadata.ts';

test('labels are cleaned: the last 62 characters, no separators at the ends', () => {
  expect(cleanLabel('group/sub/project')).toBe('group-sub-project');
  expect(cleanLabel('Merge Request')).toBe('Merge_Request');
  expect(cleanLabel('-[x]_ ')).toBe('x');
  expect(cleanLabel('a[b]c:d')).toBe('a__b__c-d');
  expect(cleanLabel('x'.repeat(62))).toHaveLength(62);
  expect(cleanLabel(`start${'x'.repeat(60)}end`)).toBe(`${'x'.repeat(59)}end`);
});

test('globs', () => {
  expect(['release-1', 'a/release-1'].map((name) => glob('release-*').test(name))).toEqual([true, false]);
  expect(glob('configs/**').test('configs/a/b.json')).toBe(true);
  expect(glob('*.{yaml,json}').test('deep/a.json')).toBe(true);
  expect(glob('v4.1[0-9]').test('v4.19')).toBe(true);
  expect(glob('v4.1[0-9]').test('v4x19')).toBe(false);
  expect(anyGlob('[main, v4.*]', 'v4.19')).toBe(true);
  expect(anyGlob('[*.{a,b}]', 'x.b')).toBe(true);
  expect(anyGlob('main', 'main')).toBe(true);
});

test.each<[string, boolean]>([
  [`event == 'push' || target_branch.endsWith("19")`, true],
  [`!(event == "pull_request" && source_branch.contains("iib"))`, false],
  [`target_branch in ["main", "v4.19"]`, true],
  [`body.object_attributes.draft == false`, true],
  [`headers["x-gitlab-event"].matches("^Merge")`, true],
  [`files.all.exists(path, path.startsWith("configs/")) && files.all.all(p, p.size() == 9)`, true],
  [`"configs/*".pathChanged() && !"docs/*".pathChanged()`, true],
  [`event == "push" && undefined_name == 1`, false],
])('CEL: %s', (expression, expected) => {
  const variables: Record<string, CelValue> = {
    event: 'pull_request',
    target_branch: 'v4.19',
    source_branch: 'iib-1',
    body: { object_attributes: { draft: false } },
    headers: { 'x-gitlab-event': 'Merge Request Hook' },
    files: { all: ['configs/a'] },
  };
  expect(cel(expression)({ variables, pathChanged: (pattern) => pattern.startsWith('configs') })).toBe(expected);
});

test.each(['event ==', 'a b', 'x.nope()', '(a', '#'])('CEL refuses %s', (expression) => {
  expect(() =>
    cel(expression)({ variables: { x: 1, a: true, b: true, event: '' }, pathChanged: () => false }),
  ).toThrow();
});

test('commands in comments', () => {
  expect(readCommand('/retest')).toEqual({ act: 'retest', template: undefined, eventType: 'retest-all-comment' });
  expect(readCommand('please\n/test build key=value\n')).toEqual({
    act: 'test',
    template: 'build',
    eventType: 'test-comment',
  });
  expect(readCommand('/test key=value')).toMatchObject({ template: undefined });
  expect(readCommand('/cancel')).toMatchObject({ act: 'cancel' });
  expect(readCommand('/testing')).toBeUndefined();
  expect(readCommand('say /test')).toBeUndefined();
});
