import { afterEach, beforeEach, expect, test } from 'vitest';
import { RESOURCES } from '../../src/sandbox/kubernetes/object.ts';
import { Refusal } from '../../src/sandbox/kubernetes/refusal.ts';
import { registerSecret } from '../../src/telemetry/secrets.ts';
import { clusterWorld, type StartedRun, type World, workerRules } from './world.ts';

const sha = 'b'.repeat(40);
const namespace = 'tenant';
let world: World;

beforeEach(async () => {
  world = await clusterWorld();
});
afterEach(() => world.stop());

const runOf = ({ name, uid }: StartedRun) => ({ name, uid, sha, template: null });
const readRules = workerRules.map((rule) => ({
  ...rule,
  verbs: rule.verbs.filter((verb) => verb !== 'patch'),
}));

/** As Tekton's admission webhook does. */
function refuseChanges(): void {
  world.kubernetes.store.admission.push(({ operation }) => {
    if (operation !== 'update') return;
    const text =
      'admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: validation failed: ' +
      'invalid value: Once the PipelineRun is complete, no updates are allowed';
    throw new Refusal(400, 'BadRequest', text);
  });
}

test('a running run is asked to end, with its finally tasks', async () => {
  const run = world.createRun({ sha });
  run.start();
  await world.connect().cancelRun(runOf(run));
  const { spec } = world.kubernetes.store.get(RESOURCES.pipelineruns, { namespace, name: run.name });
  expect(spec).toEqual({ pipelineSpec: { tasks: [] }, status: 'CancelledRunFinally' });
});

test('a run that is over or gone is left alone', async () => {
  const cluster = world.connect();
  const over = world.createRun({ sha });
  const gone = world.createRun({ sha });
  over.end('True');
  gone.remove();
  refuseChanges();
  await cluster.cancelRun(runOf(over));
  await cluster.cancelRun(runOf(gone));
});

test('a refusal while it runs is a failure with the words of the cluster', async () => {
  const run = world.createRun({ sha });
  run.start();
  refuseChanges();
  await expect(world.connect().cancelRun(runOf(run))).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringMatching(/answered 400 to patch pipelineruns: admission webhook .* denied the request/),
  });
});

test('without the right to patch', async () => {
  const run = world.createRun({ sha });
  await expect(world.connect({ rules: readRules }).cancelRun(runOf(run))).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringContaining('its role needs the verb "patch" on "pipelineruns"'),
  });
});

/** A run whose second task failed in its second step. */
function failedRun(log: string): StartedRun {
  const { store, logs } = world.kubernetes;
  const run = world.createRun({ sha });
  const taskRun = (task: string, completionTime: string, status: 'True' | 'False', exitCodes: number[]) => {
    const name = `${run.name}-${task}`;
    const labels = { 'tekton.dev/pipelineRun': run.name, 'tekton.dev/pipelineTask': task };
    const steps = exitCodes.map((exitCode, index) => ({
      name: `s${index}`,
      container: `step-s${index}`,
      terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' },
    }));
    const containers = steps.map(({ container }) => ({ name: container }));
    const pod = store.create(RESOURCES.pods, {
      metadata: { namespace, name: `${name}-pod`, labels },
      spec: { containers },
    });
    store.create(RESOURCES.taskruns, { metadata: { namespace, name, labels }, spec: {} });
    const conditions = [{ type: 'Succeeded', status, reason: 'x', message: '' }];
    store.edit(
      RESOURCES.taskruns,
      { namespace, name },
      (object) => {
        object.status = { conditions, podName: `${name}-pod`, completionTime, steps };
      },
      { part: 'status' },
    );
    for (const { container } of steps) {
      logs.begin(pod.metadata.uid, container);
      logs.append(pod.metadata.uid, container, `${task} ${container}\n`);
    }
    return (text: string, container: string) => logs.append(pod.metadata.uid, container, text);
  };
  taskRun('clone', '2026-11-21T10:00:01Z', 'True', [0]);
  taskRun('later', '2026-11-21T10:00:09Z', 'False', [1]);
  taskRun('build', '2026-11-21T10:00:05Z', 'False', [0, 3, 1])(log, 'step-s1');
  run.end('False');
  return run;
}

test('the excerpt is the end of the first failing step, secrets masked', async () => {
  registerSecret('hunter2-token');
  const run = failedRun(`${'noise\n'.repeat(100)}token hunter2-token\nerror: no such package\n`);
  const excerpt = await world.connect().failureExcerpt(run);
  expect(excerpt).toMatch(/^Task build, step s1, exit code 3:\nnoise\n/);
  expect(excerpt).toMatch(/token \*\*\*\*\*\nerror: no such package$/);
  expect(excerpt?.split('\n')).toHaveLength(41);
});

test('one endless line is cut', async () => {
  const run = failedRun(`${'x'.repeat(100_000)}the end`);
  const excerpt = await world.connect().failureExcerpt(run);
  expect(excerpt).toMatch(/the end$/);
  expect(excerpt?.length).toBeLessThan(4100);
});

test('no excerpt where logs may not be read, where there are none, or while the API is away', async () => {
  const run = failedRun('secret\n');
  const [runs, taskRuns] = workerRules;
  expect(
    await world.connect({ rules: [runs, taskRuns].filter((rule) => rule !== undefined) }).failureExcerpt(run),
  ).toBeNull();
  expect(await world.connect({ rules: [] }).failureExcerpt(run)).toBeNull();
  const cluster = world.connect();
  expect(await cluster.failureExcerpt(world.createRun({ sha }))).toBeNull();
  const up = await world.down();
  expect(await cluster.failureExcerpt(run)).toBeNull();
  await up();
});
