import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { isAlive } from '../../support/alive.ts';
import { runs, task, verdict } from './runs.ts';

let world: Awaited<ReturnType<typeof runs>>;
beforeAll(async () => {
  world = await runs();
});
afterAll(() => world.stop());

test('tasks run in order, hand on results and files, and the run ends with its results', async () => {
  world.store.create(RESOURCES.secrets, {
    metadata: { name: 'credentials', namespace: 'tenant' },
    stringData: { token: 's3cret' },
  });
  world.start(
    'chain',
    {
      params: [
        { name: 'who', default: 'nobody' },
        { name: 'list', type: 'array' },
      ],
      workspaces: [{ name: 'source' }, { name: 'secret' }],
      results: [
        { name: 'GREETING', value: '$(tasks.write.results.text)' },
        { name: 'WHO', value: 'for $(params.who)' },
      ],
      tasks: [
        task(
          'read',
          'cat "$(workspaces.in.path)/file"; echo "got: $(params.text)"; echo "$(whoami)" >/dev/null',
          {
            params: [{ name: 'text', value: '$(tasks.write.results.text)' }],
            workspaces: [{ name: 'in', workspace: 'source' }],
          },
          { params: [{ name: 'text' }], workspaces: [{ name: 'in' }] },
        ),
        {
          name: 'write',
          workspaces: [{ name: 'out', workspace: 'source' }, { name: 'secret' }],
          taskSpec: {
            workspaces: [{ name: 'out' }, { name: 'secret' }],
            results: [{ name: 'text' }],
            steps: [
              {
                name: 'main',
                image: 'any',
                env: [{ name: 'WHO', value: '$(params.who)' }],
                script:
                  '#!/bin/bash\necho "hello $WHO" > "$(workspaces.out.path)/file"; printf "hi %s" "$(cat "$(workspaces.secret.path)/token" | wc -c)" > "$(results.text.path)"; ls -A "$HOME"',
              },
              {
                name: 'args',
                image: 'any',
                command: ['printf', '<%s>'],
                args: ['$(params.list[*])', '$(context.pipelineRun.name)'],
              },
            ],
          },
        },
      ],
      finally: [
        task('sweep', 'echo "write was $(params.state)"', {
          params: [{ name: 'state', value: '$(tasks.write.status)' }],
        }),
      ],
    },
    {
      params: [
        { name: 'who', value: 'world' },
        { name: 'list', value: ['a', 'b c'] },
      ],
      workspaces: [
        { name: 'source', volumeClaimTemplate: { spec: {} } },
        { name: 'secret', secret: { secretName: 'credentials' } },
      ],
    },
  );
  const run = await world.end('chain');
  expect(verdict(run)).toEqual({
    status: 'True',
    reason: 'Succeeded',
    message: 'Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0',
  });
  expect(run.status).toMatchObject({
    results: [
      { name: 'GREETING', value: 'hi 6' },
      { name: 'WHO', value: 'for world' },
    ],
    startTime: expect.any(String),
    completionTime: expect.any(String),
    childReferences: [
      { apiVersion: 'tekton.dev/v1', kind: 'TaskRun', name: 'chain-read', pipelineTaskName: 'read' },
      { name: 'chain-write' },
      { name: 'chain-sweep' },
    ],
  });
  expect(world.log('chain', 'read')).toBe('hello world\ngot: hi 6\n');
  expect(world.log('chain', 'write'), 'an empty home').toBe('');
  expect(world.log('chain', 'write', 'args')).toBe('<a><b c><chain>');
  expect(world.log('chain', 'sweep')).toBe('write was Succeeded\n');
  const pod = world.store.get(RESOURCES.pods, { namespace: 'tenant', name: 'chain-write-pod' });
  expect(pod.metadata.labels).toMatchObject({ 'tekton.dev/pipelineRun': 'chain', 'tekton.dev/pipelineTask': 'write' });
  expect(pod.status).toMatchObject({
    phase: 'Succeeded',
    containerStatuses: [{ name: 'step-main', state: { terminated: { exitCode: 0 } } }, {}],
  });
  expect(run.spec, 'defaults of the webhook').toMatchObject({
    timeouts: { pipeline: '1h0m0s' },
    taskRunTemplate: { serviceAccountName: 'default' },
  });
  expect(readdirSync(join(world.home, 'tekton', 'tasks')), 'credentials do not stay').toEqual([]);
  expect(existsSync(join(world.home, 'tekton', 'runs', run.metadata.uid))).toBe(false);
});

test('a failing step fails the run, stops what follows, and still gives results', async () => {
  world.start('fails', {
    results: [
      { name: 'IMAGE_URL', value: '$(tasks.first.results.url)' },
      { name: 'NEVER', value: '$(tasks.third.results.x)' },
    ],
    tasks: [
      task('first', 'printf registry/x:1 > $(results.url.path)', {}, { results: [{ name: 'url' }] }),
      task('second', 'echo out of luck >&2; exit 3', { runAfter: ['first'] }),
      task('third', 'true', { runAfter: ['second'] }, { results: [{ name: 'x' }] }),
    ],
  });
  const run = await world.end('fails');
  expect(verdict(run)).toEqual({
    status: 'False',
    reason: 'Failed',
    message: 'Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1',
  });
  expect(run.status).toMatchObject({
    results: [{ name: 'IMAGE_URL', value: 'registry/x:1' }],
    skippedTasks: [{ name: 'third', reason: 'PipelineRun was stopping' }],
  });
  const taskRun = world.store.get(RESOURCES.taskruns, { namespace: 'tenant', name: 'fails-second' });
  expect(verdict(taskRun)).toEqual({ status: 'False', reason: 'Failed', message: '"step-main" exited with code 3' });
  expect(taskRun.status).toMatchObject({
    podName: 'fails-second-pod',
    steps: [{ container: 'step-main', terminated: { exitCode: 3 } }],
  });
  expect(world.log('fails', 'second')).toBe('out of luck\n');
});

test('when expressions skip a task and the run is Completed', async () => {
  world.start('skips', {
    tasks: [
      task('never', 'false', { when: [{ input: 'a', operator: 'in', values: ['b'] }] }),
      task('after', 'true', { runAfter: ['never'] }),
    ],
  });
  const run = await world.end('skips');
  expect(verdict(run)).toEqual({
    status: 'True',
    reason: 'Completed',
    message: 'Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 1',
  });
});

test('a result that a good task did not write fails the run', async () => {
  world.start('forgets', {
    results: [{ name: 'X', value: '$(tasks.a.results.x)' }],
    tasks: [task('a', 'true', {}, { results: [{ name: 'x' }] })],
  });
  expect(verdict(await world.end('forgets'))).toMatchObject({
    status: 'False',
    reason: 'CouldntGetPipelineResult',
    message: expect.stringContaining('invalid pipelineresults [X]'),
  });
  world.start('large', {
    tasks: [task('a', 'head -c 5000 /dev/zero | tr "\\0" x > $(results.x.path)', {}, { results: [{ name: 'x' }] })],
  });
  expect(verdict(await world.end('large'))).toMatchObject({ status: 'False', reason: 'Failed' });
});

const SLEEP = 'echo ready; sleep 60 & echo $! ; wait';
const pidIn = (log: string | undefined) => Number(/ready\n(\d+)/.exec(log ?? '')?.[1]);

test.each([
  ['Cancelled', 'Cancelled', 'PipelineRun "cancel-0" was cancelled', false],
  ['CancelledRunFinally', 'Cancelled', 'PipelineRun "cancel-1" was cancelled', true],
])('spec.status %s', async (status, reason, message, sweeps) => {
  const name = status === 'Cancelled' ? 'cancel-0' : 'cancel-1';
  world.start(name, {
    tasks: [task('long', SLEEP), task('next', 'true', { runAfter: ['long'] })],
    finally: [task('sweep', 'echo swept')],
  });
  await world.logged(name, 'long', 'ready\n');
  await world.until(name, (run) => verdict(run).reason === 'Running');
  world.steer(name, status);
  const run = await world.end(name);
  expect(verdict(run)).toEqual({ status: 'False', reason, message });
  expect(world.store.find(RESOURCES.taskruns, { namespace: 'tenant', name: `${name}-sweep` }) !== undefined).toBe(
    sweeps,
  );
  await world.until(
    name,
    () =>
      verdict(world.store.get(RESOURCES.taskruns, { namespace: 'tenant', name: `${name}-long` })).status === 'False',
  );
  expect(verdict(world.store.get(RESOURCES.taskruns, { namespace: 'tenant', name: `${name}-long` }))).toEqual({
    status: 'False',
    reason: 'TaskRunCancelled',
    message: `TaskRun "${name}-long" was cancelled. TaskRun cancelled as the PipelineRun it belongs to has been cancelled.`,
  });
  const grandchild = pidIn(world.log(name, 'long'));
  await expect.poll(() => isAlive(grandchild), { message: 'grandchildren die too' }).toBe(false);
  expect(() => world.steer(name, 'CancelledRunFinally'.replace(status, 'StoppedRunFinally'))).toThrow(
    'Once the PipelineRun is complete, no updates are allowed',
  );
});

test('StoppedRunFinally lets what runs finish', async () => {
  world.start('stopped', {
    tasks: [task('long', 'echo ready; sleep 0.3'), task('next', 'true', { runAfter: ['long'] })],
    finally: [task('sweep', 'true')],
  });
  await world.logged('stopped', 'long', 'ready');
  world.steer('stopped', 'StoppedRunFinally');
  const run = await world.end('stopped');
  expect(verdict(run)).toMatchObject({ status: 'False', reason: 'Cancelled' });
  expect(run.status).toMatchObject({ skippedTasks: [{ name: 'next', reason: 'PipelineRun was gracefully stopped' }] });
});

test('timeouts', async () => {
  world.start('slow', { tasks: [task('long', SLEEP)] }, { timeouts: { pipeline: '1s' } });
  world.start(
    'slow-tasks',
    { tasks: [task('long', SLEEP)], finally: [task('sweep', 'true')] },
    { timeouts: { pipeline: '1m', tasks: '1s' } },
  );
  expect(verdict(await world.end('slow'))).toEqual({
    status: 'False',
    reason: 'PipelineRunTimeout',
    message: 'PipelineRun "slow" failed to finish within "1s"',
  });
  expect(verdict(await world.end('slow-tasks'))).toEqual({
    status: 'False',
    reason: 'PipelineRunTimeout',
    message: 'PipelineRun "slow-tasks" failed due to tasks failed to finish within "1s"',
  });
});

test('a pending run waits without a start time; deleting a run ends its steps', async () => {
  world.start('queued', { tasks: [task('a', SLEEP)] }, { status: 'PipelineRunPending' });
  const pending = await world.until('queued', (run) => verdict(run).reason === 'PipelineRunPending');
  expect(pending.status).not.toHaveProperty('startTime');
  world.steer('queued', undefined);
  await world.logged('queued', 'a', 'ready\n');
  const pid = pidIn(world.log('queued', 'a'));
  const pods = new Promise<void>((resolve) => {
    const end = world.store.subscribe(({ type, object }) => {
      if (type !== 'DELETED' || object.metadata.name !== 'queued-a-pod') return;
      end();
      resolve();
    });
  });
  world.store.remove(RESOURCES.pipelineruns, { namespace: 'tenant', name: 'queued' });
  await pods;
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test('admission refuses what Tekton refuses', () => {
  const refused = (pipelineSpec: unknown, more = {}) => {
    try {
      world.start('bad', pipelineSpec, more);
      return 'taken';
    } catch (thrown) {
      return (thrown as Error).message.replace(
        'admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: validation failed: ',
        '',
      );
    }
  };
  expect([
    refused({ tasks: [task('a', 'true', { params: [{ name: 'x', value: '$(params.nope)' }] })] }),
    refused({ tasks: [task('a', 'true', { runAfter: ['nowhere'] })] }),
    refused({ tasks: [task('a', 'true', { runAfter: ['b'] }), task('b', 'true', { runAfter: ['a'] })] }),
    refused({ tasks: [task('a', 'true')] }, { timeouts: { pipeline: '1h', tasks: '2h' } }),
    refused({ tasks: [task('a', 'true')] }, { status: 'Bogus' }),
    refused(undefined),
  ]).toMatchInlineSnapshot(`
    [
      "non-existent variable in "$(params.nope)": spec.pipelineSpec.tasks[0]",
      "invalid value: couldn't add link between a and nowhere: task a depends on nowhere but nowhere wasn't present in Pipeline: spec.pipelineSpec.tasks",
      "invalid value: cycle detected; task "a" depends on itself: spec.pipelineSpec.tasks",
      "invalid value: 2h0m0s should be <= pipeline duration: spec.timeouts.tasks",
      "invalid value: Bogus should be Cancelled, CancelledRunFinally, StoppedRunFinally or PipelineRunPending: spec.status",
      "expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec",
    ]
  `);
});

test('a run that was going on when the sandbox stopped is lost, its processes too', async () => {
  const first = await runs();
  first.start('lost', { tasks: [task('long', SLEEP)] });
  first.start('waiting', { tasks: [task('a', 'true')] }, { status: 'PipelineRunPending' });
  await first.logged('lost', 'long', 'ready\n');
  const pid = pidIn(first.log('lost', 'long'));
  await first.stop({ keep: true });
  await expect.poll(() => isAlive(pid)).toBe(false);
  const second = await runs(first.home);
  expect(verdict(await second.end('lost'))).toEqual({
    status: 'False',
    reason: 'Failed',
    message: 'Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0',
  });
  second.steer('waiting', undefined);
  expect(verdict(await second.end('waiting')).status).toBe('True');
  await second.stop();
});

test('faults: a verdict of choice, altered results, runs that vanish', async () => {
  const spec = {
    results: [{ name: 'IMAGE_URL', value: '$(tasks.a.results.url)' }],
    tasks: [task('a', 'printf registry/x:1 > $(results.url.path)', {}, { results: [{ name: 'url' }] })],
  };
  const gone = (name: string) =>
    new Promise<string>((resolve) => {
      const end = world.store.subscribe(({ type, resource, object }) => {
        if (type !== 'DELETED' || resource !== RESOURCES.pipelineruns || object.metadata.name !== name) return;
        end();
        resolve(verdict(object).status ?? '');
      });
    });
  world.faults.endNext({ status: 'False', reason: 'CouldntGetTask', message: 'no task' });
  world.start('decided', spec);
  expect(verdict(await world.end('decided'))).toEqual({
    status: 'False',
    reason: 'CouldntGetTask',
    message: 'no task',
  });
  world.faults.alterNext(({ verdict: kept }) => ({ verdict: kept, results: [{ name: 'IMAGE_URL', value: ' \n' }] }));
  world.start('blank', spec);
  expect((await world.end('blank')).status).toMatchObject({ results: [{ name: 'IMAGE_URL', value: ' \n' }] });
  world.faults.vanishNext('ended');
  const ended = gone('vanishes');
  world.start('vanishes', spec);
  expect(await ended).toBe('True');
  world.faults.vanishNext('running');
  const running = gone('vanishes-early');
  world.start('vanishes-early', spec);
  expect(await running).toBe('Unknown');
});

test('Chains signs after the end', async () => {
  world.start('signed', { tasks: [task('a', 'true')] });
  const run = await world.until(
    'signed',
    ({ metadata }) => metadata.annotations?.['chains.tekton.dev/signed'] === 'true',
  );
  expect(verdict(run).status).toBe('True');
});

test('a task waits for a Secret that is not there yet', async () => {
  world.start(
    'patient',
    { workspaces: [{ name: 's' }], tasks: [task('a', 'cat $(workspaces.s.path)/k')] },
    { workspaces: [{ name: 's', secret: { secretName: 'late' } }] },
  );
  await world.until(
    'patient',
    () => world.store.find(RESOURCES.pods, { namespace: 'tenant', name: 'patient-a-pod' }) !== undefined,
  );
  world.store.create(RESOURCES.secrets, { metadata: { name: 'late', namespace: 'tenant' }, stringData: { k: 'v' } });
  expect(verdict(await world.end('patient')).status).toBe('True');
});

test('runs that cannot start say why', async () => {
  world.start('no-param', { params: [{ name: 'must' }], tasks: [task('a', 'true')] });
  world.start('no-workspace', { workspaces: [{ name: 'must' }], tasks: [task('a', 'true')] });
  world.start('no-task', { tasks: [{ name: 'a', taskRef: { name: 'absent' } }] });
  expect([
    verdict(await world.end('no-param')).reason,
    verdict(await world.end('no-workspace')).reason,
    verdict(await world.end('no-task')).reason,
  ]).toEqual(['ParameterMissing', 'InvalidWorkspaceBindings', 'CouldntGetTask']);
});
