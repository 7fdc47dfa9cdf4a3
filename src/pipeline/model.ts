import { z } from 'zod';

/** Labels Pipelines-as-Code puts on the runs it creates (konflux-and-gitlab.md §1.3). */
export const SHA_LABEL = 'pipelinesascode.tekton.dev/sha';
const TEMPLATE_LABEL = 'pipelinesascode.tekton.dev/original-prname';

const listOf = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);

const Strings = z
  .record(z.string(), z.string())
  .nullish()
  .transform((strings) => strings ?? {});

const Time = z.iso.datetime({ offset: true });

const Condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
});

/** A value is a string, an array or an object; only strings are of use here. */
const Result = z.object({ name: z.string(), value: z.unknown() });

/** A PipelineRun (`tekton.dev/v1`), with the fields used here and no others (konflux-and-gitlab.md §2.1). */
export const PipelineRun = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string().default(''),
    creationTimestamp: Time,
    labels: Strings,
    annotations: Strings,
  }),
  spec: z.object({ status: z.string().default('') }).prefault({}),
  status: z
    .object({
      conditions: listOf(Condition),
      startTime: Time.nullish(),
      results: listOf(Result),
      /** The v1beta1 name of `results`. */
      pipelineResults: listOf(Result),
    })
    .prefault({}),
});
export type PipelineRun = z.infer<typeof PipelineRun>;

export const PipelineRunList = z.object({
  metadata: z.object({ resourceVersion: z.string().default('') }),
  items: listOf(PipelineRun),
});

/** The TaskRuns of a run, as far as finding its first failing step needs. */
export const TaskRunList = z.object({
  items: listOf(
    z.object({
      metadata: z.object({ name: z.string(), labels: Strings }),
      status: z
        .object({
          conditions: listOf(Condition),
          podName: z.string().default(''),
          completionTime: z.string().default(''),
          steps: listOf(
            z.object({
              name: z.string(),
              container: z.string().optional(),
              terminated: z.object({ exitCode: z.number() }).optional(),
            }),
          ),
        })
        .prefault({}),
    }),
  ),
});
export type TaskRun = z.infer<typeof TaskRunList>['items'][number];

/** A run that was found, as it is journaled: enough to follow, replace or cancel it after a restart. */
export interface Run {
  name: string;
  uid: string;
  /** Commit the run was started for. */
  sha: string;
  /** Template it was made from; null where it does not say. */
  template: string | null;
}

/** The short form of a PipelineRun. */
export function runOf({ metadata }: PipelineRun): Run {
  return {
    name: metadata.name,
    uid: metadata.uid,
    sha: metadata.annotations[SHA_LABEL] ?? metadata.labels[SHA_LABEL] ?? '',
    template: metadata.annotations[TEMPLATE_LABEL] ?? metadata.labels[TEMPLATE_LABEL] ?? null,
  };
}

/** Whether the run was made from a template of this name. Labels keep the last 62 characters of a long one, annotations all. */
export function isMadeFrom(run: PipelineRun, template: string): boolean {
  const { annotations, labels } = run.metadata;
  const written = annotations[TEMPLATE_LABEL] ?? labels[TEMPLATE_LABEL];
  return written === template || (template.length >= 63 && written === template.slice(-62));
}

/** The condition that decides; found by type, since others may stand before it. */
export function succeeded(conditions: readonly z.infer<typeof Condition>[]): z.infer<typeof Condition> | undefined {
  return conditions.find(({ type }) => type === 'Succeeded');
}

/**
 * Newest first. Creation times are whole seconds, so of two runs of one second the better one counts as newer.
 */
export function newestFirst(runs: readonly PipelineRun[]): PipelineRun[] {
  const hope = (run: PipelineRun) =>
    ['False', undefined, 'Unknown', 'True'].indexOf(succeeded(run.status.conditions)?.status);
  return runs.toSorted(
    (a, b) => Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp) || hope(b) - hope(a),
  );
}
