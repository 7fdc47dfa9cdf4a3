import { expect, test } from 'vitest';
import { isMadeFrom, newestFirst, PipelineRun, runOf } from '../../src/pipeline/model.ts';
import { outcomeOf } from '../../src/pipeline/outcome.ts';

const LABEL = 'pipelinesascode.tekton.dev/original-prname';

function run(
  status: object = {},
  { metadata = {}, spec = {} }: { metadata?: object; spec?: object } = {},
): PipelineRun {
  return PipelineRun.parse({
    metadata: { name: 'build-x', uid: 'u', creationTimestamp: '2026-11-21T10:00:00Z', ...metadata },
    spec,
    status,
  });
}
const condition = (status: string, reason: string, message?: string) => ({
  conditions: [
    { type: 'Other', status: 'False' },
    { type: 'Succeeded', status, reason, message },
  ],
});
const url = { name: 'IMAGE_URL', value: 'quay.io/x/y:on-pr-1\n' };

test.each([
  ['Cancelled', 'whatever', 'Pipelinerun build-x was cancelled'],
  ['PipelineRunTimeout', 'whatever', 'Pipelinerun build-x failed due to timeout'],
  ['CreateRunFailed', 'whatever', 'Pipelinerun build-x failed due to resource creation failure'],
  ['Failed', 'Tasks Completed: 1 (Failed: 1)', 'Pipelinerun build-x failed: Tasks Completed: 1 (Failed: 1)'],
  ['Failed', undefined, 'Pipelinerun build-x failed'],
  ['CouldntGetTask', 'no such task', 'Pipelinerun build-x failed: no such task'],
  ['InventedTomorrow', 'oh', 'Pipelinerun build-x failed: oh'],
])('ended badly: %s', (reason, message, text) => {
  const outcome = outcomeOf(run({ ...condition('False', reason, message), results: [url] }));
  expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'pipeline_failed', message: text } });
});

test.each(['Succeeded', 'Completed', 'InventedTomorrow'])('succeeded: %s', (reason) => {
  const digest = { name: 'IMAGE_DIGEST', value: ' sha256:1\n' };
  const list = { name: 'ARCHES', value: ['amd64'] };
  expect(outcomeOf(run({ ...condition('True', reason), results: [url, digest, list] }))).toEqual({
    status: 'succeeded',
    imageUrl: 'quay.io/x/y:on-pr-1',
    imageDigest: 'sha256:1',
    results: { IMAGE_URL: 'quay.io/x/y:on-pr-1', IMAGE_DIGEST: 'sha256:1' },
  });
});

test('results of the old name, no digest', () => {
  const outcome = outcomeOf(run({ ...condition('True', 'Succeeded'), pipelineResults: [url] }));
  expect(outcome).toMatchObject({ status: 'succeeded', imageUrl: 'quay.io/x/y:on-pr-1', imageDigest: null });
});

test.each([[[]], [[{ name: 'IMAGE_URL', value: ' \n' }]], [[{ name: 'IMAGE_URL', value: ['a'] }]], [null]])(
  'succeeded without image: %j',
  (results) => {
    const text = 'IMAGE_URL not found in pipelinerun build-x results';
    expect(outcomeOf(run({ ...condition('True', 'Succeeded'), results }))).toMatchObject({
      status: 'failed',
      failure: { code: 'pipeline_result_missing', message: text },
    });
  },
);

test.each([
  [{}, {}, 'Created'],
  [{}, { status: 'PipelineRunPending' }, 'queued'],
  [condition('Unknown', 'PipelineRunPending'), {}, 'queued'],
  [condition('Unknown', 'CancelledRunningFinally'), { status: 'CancelledRunFinally' }, 'CancelledRunningFinally'],
  [condition('Unknown', 'InventedTomorrow'), {}, 'InventedTomorrow'],
])('going on', (status, spec, reason) => {
  expect(outcomeOf(run(status, { spec }))).toEqual({ status: 'going', reason });
});

test('the newest run is first; in one second, the one with more hope', () => {
  const at = (name: string, creationTimestamp: string, status?: string) =>
    run(status ? condition(status, 'x') : {}, { metadata: { name, creationTimestamp } });
  const runs = [
    at('old success', '2026-11-21T10:00:00Z', 'True'),
    at('failed', '2026-11-21T10:00:05Z', 'False'),
    at('running', '2026-11-21T10:00:05Z', 'Unknown'),
    at('succeeded', '2026-11-21T10:00:05Z', 'True'),
    at('just made', '2026-11-21T10:00:05Z'),
  ];
  expect(newestFirst(runs).map(({ metadata }) => metadata.name)).toEqual([
    'succeeded',
    'running',
    'just made',
    'failed',
    'old success',
  ]);
});

test('a long template name is known by the end of it that fits a label', () => {
  const template = `${'very-'.repeat(20)}long-name`;
  const labelled = run({}, { metadata: { labels: { [LABEL]: template.slice(-62) } } });
  const annotated = run({}, { metadata: { annotations: { [LABEL]: template } } });
  expect(isMadeFrom(labelled, template)).toBe(true);
  expect(isMadeFrom(annotated, template)).toBe(true);
  expect(isMadeFrom(labelled, 'long-name')).toBe(false);
  expect(runOf(annotated).template).toBe(template);
});
