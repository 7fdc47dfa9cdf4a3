import { Failure } from '../errors/failure.ts';
import type { Connection } from './connection.ts';
import type { Feed } from './feed.ts';
import { isMadeFrom, newestFirst, type PipelineRun, type Run, runOf } from './model.ts';
import { listRuns } from './runs.ts';

export interface Find {
  sha: string;
  /** Template the run must be made from; undefined takes any. */
  template?: string | undefined;
  /** Milliseconds from now until the run must be there. */
  appears: number;
  signal: AbortSignal;
}

/**
 * Waits until Pipelines-as-Code has started a run for the commit and gives the newest one of the template
 * (konflux-and-gitlab.md §1.3: one commit can own several). A cluster that does not answer is waited out, too.
 *
 * @param poll milliseconds between looks when the watch brings nothing
 * @throws Failure `pipeline_not_started` with what to check, `kubernetes_unavailable` when the cluster was not to be
 *   reached at the deadline, `kubernetes_denied` at once; the signal's reason when aborted
 */
export async function findRun(
  { connection, feed, poll }: { connection: Connection; feed: Feed; poll: number },
  { sha, template, appears, signal }: Find,
): Promise<Run> {
  const until = Date.now() + appears;
  using inbox = feed.follow(sha);
  for (;;) {
    const runs = await listOrTrouble(connection, sha, signal);
    const [newest] = Array.isArray(runs) ? candidates(runs, template) : [];
    if (newest) return runOf(newest);
    const left = until - Date.now();
    if (left <= 0)
      throw runs instanceof Failure ? unreachable(sha, runs) : missing(sha, template, appears, runs, connection);
    await inbox.next(Math.min(poll, left), signal);
  }
}

/** The runs that may count for a template, newest first. */
export function candidates(runs: readonly PipelineRun[], template: string | null | undefined): PipelineRun[] {
  return newestFirst(template ? runs.filter((run) => isMadeFrom(run, template)) : runs);
}

async function listOrTrouble(
  connection: Connection,
  sha: string,
  signal: AbortSignal,
): Promise<PipelineRun[] | Failure> {
  try {
    return await listRuns(connection, sha, signal);
  } catch (thrown) {
    if (thrown instanceof Failure && thrown.verdict === 'transient') return thrown;
    throw thrown;
  }
}

function unreachable(sha: string, cause: Failure): Failure {
  const text = `Failed to fetch pipelineruns for commit ${sha}: ${cause.message}`;
  return new Failure('kubernetes_unavailable', text, { cause });
}

function missing(
  sha: string,
  template: string | undefined,
  appears: number,
  others: readonly PipelineRun[],
  { namespace }: Connection,
): Failure {
  const found = [...new Set(others.map((run) => runOf(run).template ?? run.metadata.name))].join(', ');
  const text = [
    `No pipelineruns found for commit ${sha}`,
    template ? ` made from the template "${template}"` : '',
    ` in namespace ${namespace} after ${appears / 1000} seconds`,
    found ? ` (there are runs of: ${found})` : '',
    '. Check that the webhook of the GitLab project delivers to Pipelines-as-Code, that the user who opens the merge',
    ' request is a member of the project, that a PipelineRun in .tekton/ matches its event, branches and paths,',
    ' and that the Repository object stands in this namespace.',
  ];
  return new Failure('pipeline_not_started', text.join(''));
}
