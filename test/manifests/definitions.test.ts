import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { startedByPushes } from '../../src/onboarding/definition.ts';
import { codeIn, page, rowsOf } from '../docs/page.ts';
import { ROOT, yamlFiles } from './files.ts';

const Named = z.array(z.looseObject({ name: z.string() }));
const Definition = z.looseObject({
  kind: z.literal('PipelineRun'),
  metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }),
  spec: z.looseObject({
    timeouts: z.object({ pipeline: z.string() }),
    pipelineSpec: z.looseObject({
      results: Named,
      tasks: z.array(
        z.looseObject({ name: z.string(), taskSpec: z.looseObject({ params: Named, results: Named }).optional() }),
      ),
    }),
  }),
});

const definitions = yamlFiles('tekton').map(({ path, documents: [document] }) => ({
  path,
  text: JSON.stringify(document),
  definition: Definition.parse(document),
}));
const names = (list: z.infer<typeof Named>) => list.map(({ name }) => name);

/** What Pipelines-as-Code knows of itself (konflux-and-gitlab.md §1.2). */
const STANDARD = ['revision', 'repo_url', 'source_url', 'git_auth_secret', 'target_branch', 'pull_request_number'];

test('there is one for each kind of repository and each variant', () => {
  expect(definitions.map(({ path }) => path)).toEqual([
    'tekton/bundle/pipelinerun.yaml',
    'tekton/catalog/pipelinerun.yaml',
    'tekton/konflux/bundle/pipelinerun.yaml',
    'tekton/konflux/catalog/pipelinerun.yaml',
  ]);
});

test.each(definitions)('$path runs for merge requests, keeps its runs and gives the image', ({ definition, text }) => {
  const { annotations } = definition.metadata;
  expect(annotations['pipelinesascode.tekton.dev/on-event']).toBe('[pull_request]');
  expect(Number(annotations['pipelinesascode.tekton.dev/max-keep-runs'])).toBeGreaterThanOrEqual(100);
  expect(names(definition.spec.pipelineSpec.results)).toEqual([
    'IMAGE_URL',
    'IMAGE_DIGEST',
    'CHAINS-GIT_URL',
    'CHAINS-GIT_COMMIT',
  ]);
  const build = definition.spec.pipelineSpec.tasks.find(({ name }) => name === 'build')?.taskSpec;
  expect(names(build?.results ?? [])).toEqual(['IMAGE_URL', 'IMAGE_DIGEST', 'IMAGE_REF']);
  for (const [, image] of text.matchAll(/"(quay\.io\/[^"]+)"/g)) expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
});

test.each(definitions)('$path started by pushes is the same but for what starts it', ({ path, definition }) => {
  const text = startedByPushes(readFileSync(join(ROOT, path), 'utf8'));
  const pushed = Definition.parse(parse(text));
  const { annotations, ...metadata } = pushed.metadata;
  const { annotations: original, ...same } = definition.metadata;
  expect(metadata).toEqual(same);
  expect(annotations).toEqual({
    ...Object.fromEntries(Object.entries(original).filter(([key]) => !/on-event|target-branch|pull_request/.test(key))),
    'pipelinesascode.tekton.dev/on-cel-expression': 'event == "push" && event_title.startsWith("IIB: ")',
    'pipelinesascode.tekton.dev/cancel-in-progress': 'false',
  });
  expect(JSON.stringify(pushed.spec)).toBe(JSON.stringify(definition.spec).replace(':on-pr-', ':on-push-'));
  expect(text).not.toMatch(/Only merge requests|closed merge request/);
});

test.each(definitions)('$path uses variables that are set', ({ path, text }) => {
  const variant = path.includes('/konflux/') ? 'Konflux' : 'Tekton';
  const rows = rowsOf(page('docs/catalog-repository.md'), 'Variable');
  const given = rows.filter(([, , variants = '']) => variants.includes(variant)).flatMap(([cell]) => codeIn(cell));
  const used = new Set([...text.matchAll(/\{\{ (\w+) \}\}/g)].map((match) => match[1]));
  expect([...used].filter((name) => !STANDARD.includes(name ?? '')).sort()).toEqual(given.sort());
});

test('the build task for Konflux has the parameters of iib-image-builder-oci-ta', () => {
  const konflux = definitions.find(({ path }) => path === 'tekton/konflux/catalog/pipelinerun.yaml')?.definition;
  const build = konflux?.spec.pipelineSpec.tasks.find(({ name }) => name === 'build')?.taskSpec;
  expect(names(build?.params ?? [])).toEqual(
    expect.arrayContaining([
      'IMAGE',
      'SOURCE_ARTIFACT',
      'COMMIT_SHA',
      'CONTEXT',
      'DOCKERFILE',
      'IIB_BUILD_METADATA_FILE_PATH',
      'STORAGE_DRIVER',
      'caTrustConfigMapName',
      'caTrustConfigMapKey',
    ]),
  );
});
