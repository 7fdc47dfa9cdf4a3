import { Failure } from '../errors/failure.ts';
import type { Connection } from './connection.ts';
import type { Feed } from './feed.ts';
import { candidates } from './find.ts';
import type { News } from './inbox.ts';
import { type PipelineRun, type Run, runOf } from './model.ts';
import { type Built, outcomeOf } from './outcome.ts';
import { listRuns, readRun } from './runs.ts';

export interface Follow {
  /** Milliseconds from the run's creation to its start. */
  starts: number;
  /** Milliseconds from its start to its end. */
  ends: number;
  signal: AbortSignal;
  /** Told when the reason changes: `queued`, then Tekton's reasons (`Started`, `Running`, …). */
  onProgress?: (reason: string) => void;
}

/** A run that succeeded, and which one it was: a newer run of the commit may have taken the place of the one followed. */
export interface Ended extends Built {
  run: Run;
}

/** Times in objects are whole seconds, cut off: a deadline counted from one would come up to a second early. */
const CUT_OFF = 1000;

/**
 * Waits for the end of a run. The cluster may be away for a while; only the deadlines end the wait. When the run ends
 * badly and a newer one of the same commit and template exists (a retest), that one is followed instead.
 *
 * @param poll milliseconds between looks when the watch brings nothing
 * @throws Failure `pipeline_failed` and `pipeline_result_missing` as in {@link outcomeOf}, and when the run was deleted
 *   before its end; `pipeline_timeout` at a deadline; `pipeline_gone` when it is no longer there and its outcome unknown;
 *   `kubernetes_denied` at once; the signal's reason when aborted (request-handling.md §6, konflux-and-gitlab.md §6.2)
 */
export async function waitForEnd(
  { connection, feed, poll }: { connection: Connection; feed: Feed; poll: number },
  run: Run,
  { starts, ends, signal, onProgress }: Follow,
): Promise<Ended> {
  using inbox = feed.follow(run.sha);
  const begun = Date.now();
  let followed = run;
  let last: PipelineRun | undefined;
  let reported: string | undefined;
  let misses = 0;

  for (let news: News = { kind: 'missed' }; ; ) {
    const seen = await look(connection, followed, news, signal);
    if ('run' in seen) last = seen.run;
    misses = seen.kind === 'missing' ? misses + 1 : 0;

    if (last !== undefined) {
      const outcome = outcomeOf(last);
      if (outcome.status === 'succeeded') return { ...outcome, run: followed };
      if (outcome.status === 'going' && outcome.reason !== reported) {
        reported = outcome.reason;
        onProgress?.(reported);
      }
      const over =
        outcome.status === 'failed' ? outcome.failure : seen.kind === 'deleted' ? deleted(followed) : undefined;
      if (over) {
        const next = await successor(connection, last, signal);
        if (next === undefined) throw over;
        followed = runOf(next);
        last = next;
        news = { kind: 'missed' };
        continue;
      }
    }
    // The news of the deletion, with the whole object, may be on its way: give it one more round.
    if (misses > 1) throw gone(followed);
    const trouble = seen.kind === 'trouble' ? seen.failure : undefined;
    const until = deadline(last, begun, { starts, ends });
    if (Date.now() >= until) throw late(followed, last, { starts, ends }, trouble);
    do news = await inbox.next(Math.min(poll, until - Date.now()), signal);
    while ('run' in news && (news.run.metadata.uid !== followed.uid || isOld(news.run, last)));
  }
}

/**
 * Whether the news tells of a time before what was seen: a watch begins a little before the look that follows its start.
 * Versions are numbers by Kubernetes' API conventions (since 1.35); where they are none, everything is new.
 */
function isOld({ metadata: { resourceVersion: told } }: PipelineRun, seen: PipelineRun | undefined): boolean {
  const known = seen?.metadata.resourceVersion ?? '';
  return /^\d+$/.test(told) && /^\d+$/.test(known) && BigInt(told) < BigInt(known);
}

type Look =
  | { kind: 'present' | 'deleted'; run: PipelineRun }
  | { kind: 'missing' }
  | { kind: 'trouble'; failure: Failure };

/** What is known now: what the news brought, or what the cluster says. */
async function look(connection: Connection, run: Run, news: News, signal: AbortSignal): Promise<Look> {
  if (news.kind === 'changed') return { kind: 'present', run: news.run };
  if (news.kind === 'deleted' && outcomeOf(news.run).status !== 'going') return { kind: 'present', run: news.run };
  try {
    const now = await readRun(connection, run, signal);
    if (now !== null) return { kind: 'present', run: now };
    return news.kind === 'deleted' ? { kind: 'deleted', run: news.run } : { kind: 'missing' };
  } catch (thrown) {
    if (thrown instanceof Failure && thrown.verdict === 'transient') return { kind: 'trouble', failure: thrown };
    throw thrown;
  }
}

/** A newer run of the same commit and template, if there is one and the cluster can be asked. */
async function successor(
  connection: Connection,
  run: PipelineRun,
  signal: AbortSignal,
): Promise<PipelineRun | undefined> {
  const { sha, template, uid } = runOf(run);
  try {
    const [newest] = candidates([...(await listRuns(connection, sha, signal)), run], template);
    return newest?.metadata.uid === uid ? undefined : newest;
  } catch (thrown) {
    if (thrown instanceof Failure && thrown.verdict === 'transient') return undefined;
    throw thrown;
  }
}

type Deadlines = Pick<Follow, 'starts' | 'ends'>;

function deadline(run: PipelineRun | undefined, begun: number, { starts, ends }: Deadlines): number {
  if (run === undefined) return begun + starts;
  const started = run.status.startTime;
  return started ? Date.parse(started) + CUT_OFF + ends : Date.parse(run.metadata.creationTimestamp) + CUT_OFF + starts;
}

function late(run: Run, last: PipelineRun | undefined, { starts, ends }: Deadlines, cause?: Failure): Failure {
  const text = last?.status.startTime
    ? `Timeout waiting for pipelinerun ${run.name} to complete after ${ends / 1000} seconds`
    : `Timeout waiting for pipelinerun ${run.name} to start after ${starts / 1000} seconds`;
  return new Failure('pipeline_timeout', cause ? `${text}. ${cause.message}` : text, { cause });
}

function deleted(run: Run): Failure {
  return new Failure('pipeline_failed', `Pipelinerun ${run.name} was deleted before it ended`);
}

function gone(run: Run): Failure {
  const text = `Pipelinerun ${run.name} is no longer in the cluster, and how it ended is not known`;
  return new Failure('pipeline_gone', text);
}
