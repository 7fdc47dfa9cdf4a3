import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { KubeObject } from '../../../src/sandbox/kubernetes/object.ts';
import { RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { admitPipelineRun } from '../../../src/sandbox/tekton/admission.ts';

describe.each(['tekton/catalog/pipelinerun.yaml', 'tekton/bundle/pipelinerun.yaml'])('%s', (path) => {
  const text = readFileSync(join(resolve(import.meta.dirname, '../../..'), path), 'utf8');
  const run = parse(text);

  test('admission takes it', () => {
    expect(() =>
      admitPipelineRun({
        operation: 'create',
        resource: RESOURCES.pipelineruns,
        object: run as KubeObject,
        before: undefined,
      }),
    ).not.toThrow();
  });

  test('it asks only for variables that are documented in it or that Pipelines-as-Code has', () => {
    const own = ['source_url', 'revision', 'git_auth_secret'];
    const asked = new Set([...text.matchAll(/\{\{ (\w+) \}\}/g)].map(([, name]) => name ?? ''));
    const documented = [...text.matchAll(/^# {3}(\w+) {2,}/gm)].map(([, name]) => name ?? '');
    expect([...asked].sort()).toEqual([...own, ...documented].sort());
  });

  test('it keeps the contract of the builder task and the results the service reads', () => {
    const { tasks, results } = run.spec.pipelineSpec;
    const build = tasks.find(({ name }: { name: string }) => name === 'build').taskSpec;
    const names = (list: { name: string }[]) => list.map(({ name }) => name);
    expect(names(build.params)).toEqual(
      expect.arrayContaining(['IMAGE', 'COMMIT_SHA', 'CONTEXT', 'DOCKERFILE', 'IIB_BUILD_METADATA_FILE_PATH']),
    );
    expect(names(build.results)).toEqual(['IMAGE_URL', 'IMAGE_DIGEST', 'IMAGE_REF']);
    expect(names(results)).toEqual(['IMAGE_URL', 'IMAGE_DIGEST', 'CHAINS-GIT_URL', 'CHAINS-GIT_COMMIT']);
    expect(text, 'no absolute path of a container').not.toMatch(/["' ]\/(workspace|tekton|var)\//);
  });
});
