import { type Interruption, summary, type Verdict } from './conditions.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { type Mood, type Progress, tally } from './progress.ts';
import type { PipelineRunSpec, Value } from './schema.ts';
import { type Lookup, substitute, variablesIn } from './substitution.ts';

export interface RunOutcome {
  verdict: Verdict;
  results: { name: string; value: Value }[];
}

const failed = (reason: string, message: string): Verdict => ({ status: 'False', reason, message });

/**
 * How a run whose tasks are all over has ended, and its results: those a successful task wrote, also when the run failed;
 * none when it was cut off (konflux-and-gitlab.md §2.1, §2.2).
 */
export function outcomeOf(
  name: string,
  { pipelineSpec, timeouts }: PipelineRunSpec,
  all: readonly Progress[],
  { mood, interruption, lookup }: { mood: Mood; interruption: Interruption | undefined; lookup: Lookup },
): RunOutcome {
  const printed = (text: string) => formatDuration(parseDuration(text) ?? 0);
  if (interruption === 'cancelled') {
    return { verdict: failed('Cancelled', `PipelineRun "${name}" was cancelled`), results: [] };
  }
  if (interruption === 'pipeline timeout') {
    const limit = printed(timeouts.pipeline ?? '1h0m0s');
    const message = `PipelineRun "${name}" failed to finish within "${limit}"`;
    return { verdict: failed('PipelineRunTimeout', message), results: [] };
  }
  const { results, invalid } = pipelineResults(pipelineSpec?.results ?? [], all, lookup);
  if (mood.stopping === 'tasks timeout') {
    const message = `PipelineRun "${name}" failed due to tasks failed to finish within "${printed(timeouts.tasks ?? '')}"`;
    return { verdict: failed('PipelineRunTimeout', message), results };
  }
  if (invalid.length > 0) {
    const why = `invalid pipelineresults [${invalid.join(' ')}], the referenced results don't exist`;
    const message = `Failed to get PipelineResult from TaskRun Results for PipelineRun ${name}: ${why}`;
    return { verdict: failed('CouldntGetPipelineResult', message), results: [] };
  }
  return { verdict: counted(name, all, mood), results };
}

function counted(name: string, all: readonly Progress[], { stopping }: Mood): Verdict {
  const counts = tally(all);
  const message = summary(counts);
  if (counts.failed > 0) return failed('Failed', message);
  if (stopping === 'gracefully cancelled' || stopping === 'gracefully stopped') {
    return failed('Cancelled', `PipelineRun "${name}" was cancelled`);
  }
  if (counts.cancelled > 0) return failed('Cancelled', message);
  return { status: 'True', reason: counts.skipped > 0 ? 'Completed' : 'Succeeded', message };
}

function pipelineResults(
  declared: readonly { name: string; value: Value }[],
  all: readonly Progress[],
  lookup: Lookup,
) {
  const results: { name: string; value: Value }[] = [];
  const invalid: string[] = [];
  const succeeded = new Set(all.filter(({ state }) => state === 'Succeeded').map(({ task }) => task.name));
  for (const { name, value } of declared) {
    const missing = variablesIn(value).filter(({ path }) => path[0] === 'tasks' && lookup(path) === undefined);
    if (missing.length === 0) results.push({ name, value: substitute(value, lookup) });
    else if (missing.some(({ path }) => succeeded.has(path[1] ?? ''))) invalid.push(name);
  }
  return { results, invalid };
}
