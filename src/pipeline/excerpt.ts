import { Failure } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { mask } from '../telemetry/secrets.ts';
import type { Connection } from './connection.ts';
import { succeeded, type TaskRun, TaskRunList } from './model.ts';
import { readAnswer } from './runs.ts';

const LINES = 40;
const CHARACTERS = 4000;

/**
 * The end of the first failing step's log, headed by its task and step; secrets masked. Null where the run has none, its
 * pod is gone, the token may not read logs, or the cluster does not answer: an excerpt is a courtesy.
 */
export async function failureExcerpt(
  connection: Connection,
  run: { name: string },
  log: Log,
  signal?: AbortSignal,
): Promise<string | null> {
  try {
    const step = await firstFailingStep(connection, run.name, signal);
    if (step === null) return null;
    const { namespace } = connection;
    const text = await connection.call(
      { verb: 'get', resource: 'pods/log' },
      ({ core }) =>
        core.readNamespacedPodLog({ name: step.pod, namespace, container: step.container, tailLines: LINES }),
      signal,
    );
    const end = mask(String(text ?? '').trim()).slice(-CHARACTERS);
    return end === '' ? null : `${step.title}\n${end}`;
  } catch (err) {
    signal?.throwIfAborted();
    if (!(err instanceof Failure)) throw err;
    log.info({ err, run: run.name }, 'no log excerpt of the failed run');
    return null;
  }
}

async function firstFailingStep(
  connection: Connection,
  run: string,
  signal?: AbortSignal,
): Promise<{ pod: string; container: string; title: string } | null> {
  const { namespace } = connection;
  const answer = await connection.call(
    { verb: 'list', resource: 'taskruns' },
    ({ custom }) =>
      custom.listNamespacedCustomObject({
        group: 'tekton.dev',
        version: 'v1',
        plural: 'taskruns',
        namespace,
        labelSelector: `tekton.dev/pipelineRun=${run}`,
      }),
    signal,
  );
  const failed = readAnswer(TaskRunList, answer ?? { items: [] })
    .items.filter(({ status }) => succeeded(status.conditions)?.status === 'False')
    .sort((a, b) => a.status.completionTime.localeCompare(b.status.completionTime));
  return failed.map(failingStep).find((step) => step !== null) ?? null;
}

function failingStep({ metadata, status }: TaskRun): { pod: string; container: string; title: string } | null {
  const step = status.steps.find(({ terminated }) => terminated !== undefined && terminated.exitCode !== 0);
  if (step === undefined || status.podName === '') return null;
  const task = metadata.labels['tekton.dev/pipelineTask'] ?? metadata.name;
  const title = `Task ${task}, step ${step.name}, exit code ${step.terminated?.exitCode}:`;
  return { pod: status.podName, container: step.container ?? `step-${step.name}`, title };
}
