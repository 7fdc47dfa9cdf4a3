import { Failure } from '../errors/failure.ts';
import { type PipelineRun, succeeded } from './model.ts';

/** What a run that succeeded gave. */
export interface Built {
  status: 'succeeded';
  /** `name:tag`; a retest overwrites the tag, so prefer the digest where there is one. */
  imageUrl: string;
  imageDigest: string | null;
  /** All string results of the run, trimmed. */
  results: Record<string, string>;
}

export type Outcome =
  /** `queued` until it is released, then Tekton's reason: `Started`, `Running`, … */
  { status: 'going'; reason: string } | Built | { status: 'failed'; failure: Failure };

/**
 * What a PipelineRun has come to. The condition's status decides; its reason is used for the text only, because the
 * list of reasons grows (konflux-and-gitlab.md §2.2). Sentences: request-handling.md §6.
 *
 * Failures: `pipeline_failed`, and `pipeline_result_missing` for a success without image.
 */
export function outcomeOf(run: PipelineRun): Outcome {
  const { name } = run.metadata;
  const condition = succeeded(run.status.conditions);
  switch (condition?.status) {
    case 'True':
      return built(run);
    case 'False': {
      const text = badEnd(name, condition.reason, condition.message.trim());
      return { status: 'failed', failure: new Failure('pipeline_failed', text) };
    }
    default: {
      const queued = run.spec.status === 'PipelineRunPending' || condition?.reason === 'PipelineRunPending';
      return { status: 'going', reason: queued ? 'queued' : condition?.reason || 'Created' };
    }
  }
}

function badEnd(name: string, reason: string, message: string): string {
  switch (reason) {
    case 'Cancelled':
      return `Pipelinerun ${name} was cancelled`;
    case 'PipelineRunTimeout':
      return `Pipelinerun ${name} failed due to timeout`;
    case 'CreateRunFailed':
      return `Pipelinerun ${name} failed due to resource creation failure`;
    default:
      return `Pipelinerun ${name} failed${message === '' ? '' : `: ${message}`}`;
  }
}

/** Results count only now: a run that ended badly may carry them, too (konflux-and-gitlab.md §2.1). */
function built({ metadata, status }: PipelineRun): Outcome {
  const given = status.results.length > 0 ? status.results : status.pipelineResults;
  const results = Object.fromEntries(
    given.flatMap(({ name, value }) => (typeof value === 'string' ? [[name, value.trim()]] : [])),
  );
  if (!results.IMAGE_URL) {
    const text = `IMAGE_URL not found in pipelinerun ${metadata.name} results`;
    return { status: 'failed', failure: new Failure('pipeline_result_missing', text) };
  }
  return { status: 'succeeded', imageUrl: results.IMAGE_URL, imageDigest: results.IMAGE_DIGEST || null, results };
}
