import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/sandbox/tekton/duration.ts';
import { childName } from '../../../src/sandbox/tekton/naming.ts';
import type { Value } from '../../../src/sandbox/tekton/schema.ts';
import { runStep } from '../../../src/sandbox/tekton/step.ts';
import { from, substitute } from '../../../src/sandbox/tekton/substitution.ts';

test('durations are read and printed as Go does', () => {
  expect(['1h0m0s', '90s', '1m30s', '500ms', '0', '3'].map(parseDuration)).toEqual([
    3_600_000,
    90_000,
    90_000,
    500,
    0,
    undefined,
  ]);
  expect([3_600_000, 90_000, 3000].map(formatDuration)).toEqual(['1h0m0s', '1m30s', '3s']);
});

test('names of children stay within a label', () => {
  expect(childName('run', '-build')).toBe('run-build');
  const long = childName('a-very-long-name-of-a-pipeline-run-that-goes-on-and-on-12345', '-build');
  expect(long).toHaveLength(63);
  expect(long).toMatch(/-build$/);
  expect(childName('run', `-${'x'.repeat(80)}`)).toHaveLength(63);
});

test('variables: text, lists, objects, indexes; shell stays shell; values are not read again', () => {
  const lookup = from(
    'params',
    new Map<string, Value>([
      ['a', 'one'],
      ['dotted.name', 'two'],
      ['list', ['x', 'y']],
      ['object', { key: 'v' }],
      ['sly', '$(params.a)'],
    ]),
  );
  expect(
    substitute('$(params.a) $(params["dotted.name"]) $(params[\'a\']) $(params.list[1]) $(params.object.key)', lookup),
  ).toBe('one two one y v');
  expect(substitute(['$(params.list[*])', 'z$(params.a)'], lookup)).toEqual(['x', 'y', 'zone']);
  expect(substitute({ value: '$(params.list[*])' }, lookup)).toEqual({ value: ['x', 'y'] });
  expect(substitute('$(date) $(params.unknown) $(params.sly)', lookup)).toBe('$(date) $(params.unknown) $(params.a)');
});

test('a script runs under the interpreter its first line names, a shell that stops at errors without one', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-test-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const ran = async (script: string) => {
    let text = '';
    const output = (chunk: Buffer) => {
      text += chunk;
    };
    const place = { dir, env: { PATH: process.env.PATH ?? '' }, signal: new AbortController().signal, output };
    const code = await runStep({ name: 's', image: 'i', command: [], args: ['one'], env: [], script }, place);
    return [code, text];
  };
  expect(await ran('echo "$1"; false; echo on')).toEqual([1, 'one\n']);
  expect(await ran('#!/bin/sh -e\necho "$1"; false; echo on')).toEqual([1, 'one\n']);
  expect(await ran('#! /usr/bin/env bash\n[[ $1 == o* ]] && echo bash')).toEqual([0, 'bash\n']);
  expect(await ran('#!/no/such/shell\n')).toEqual([127, expect.stringContaining('/no/such/shell')]);
});
