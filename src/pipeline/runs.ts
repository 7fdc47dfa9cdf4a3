import type { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import type { Connection } from './connection.ts';
import { PipelineRun, PipelineRunList, type Run, SHA_LABEL } from './model.ts';
import { outcomeOf } from './outcome.ts';

const KIND = { group: 'tekton.dev', version: 'v1', plural: 'pipelineruns' };

/** All runs started for a commit. Throws what {@link Connection.call} throws. */
export async function listRuns(connection: Connection, sha: string, signal?: AbortSignal): Promise<PipelineRun[]> {
  return (await list(connection, { labelSelector: `${SHA_LABEL}=${sha}` }, signal)).items;
}

/** The version a watch can start from, by the smallest list there is; also proves that the token may list. */
export async function currentVersion(connection: Connection, signal?: AbortSignal): Promise<string> {
  return (await list(connection, { limit: 1 }, signal)).metadata.resourceVersion;
}

/** One run by name, null when it is gone or another one has its name by now. */
export async function readRun(
  connection: Connection,
  { name, uid }: { name: string; uid: string },
  signal?: AbortSignal,
): Promise<PipelineRun | null> {
  const { namespace } = connection;
  const access = { verb: 'get', resource: 'pipelineruns' } as const;
  const object = await connection.call(
    access,
    ({ custom }) => custom.getNamespacedCustomObject({ ...KIND, namespace, name }),
    signal,
  );
  if (object === null) return null;
  const run = readAnswer(PipelineRun, object);
  return run.metadata.uid === uid ? run : null;
}

/**
 * Asks Tekton to end the run, its `finally` tasks run; one that is over or gone is left alone (konflux-and-gitlab.md §2.3).
 *
 * @throws Failure `kubernetes_denied` where the role lacks the verb patch, `kubernetes_unavailable`
 */
export async function cancelRun(connection: Connection, run: Run, signal?: AbortSignal): Promise<void> {
  const { namespace } = connection;
  const body = { spec: { status: 'CancelledRunFinally' } };
  try {
    await connection.call(
      { verb: 'patch', resource: 'pipelineruns' },
      ({ custom, mergePatch }) =>
        custom.patchNamespacedCustomObject({ ...KIND, namespace, name: run.name, body }, mergePatch),
      signal,
    );
  } catch (thrown) {
    // Admission refuses any change to a run that is over, in words that differ by version: the run itself tells.
    const now = await readRun(connection, run, signal).catch(() => undefined);
    if (now === undefined || (now !== null && outcomeOf(now).status === 'going')) throw thrown;
  }
}

async function list(connection: Connection, query: { labelSelector?: string; limit?: number }, signal?: AbortSignal) {
  const { namespace } = connection;
  const access = { verb: 'list', resource: 'pipelineruns' } as const;
  const answer = await connection.call(
    access,
    ({ custom }) => custom.listNamespacedCustomObject({ ...KIND, namespace, ...query }),
    signal,
  );
  if (answer === null) {
    throw new Failure(
      'kubernetes_denied',
      'The cluster does not know PipelineRuns (404): Tekton is not installed there, or the URL of the cluster is wrong',
    );
  }
  return readAnswer(PipelineRunList, answer);
}

/** @throws Failure `kubernetes_unavailable` when the answer is not what the API promises (a proxy's page, say) */
export function readAnswer<T extends z.ZodType>(schema: T, answer: unknown): z.output<T> {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) {
    throw new Failure('kubernetes_unavailable', 'The cluster gave an answer that cannot be read', {
      cause: parsed.error,
    });
  }
  return parsed.data;
}
