import { z } from 'zod';

/** The parts of `tekton.dev/v1` that the controller acts upon; what it does not know it keeps but does not heed. */
export const Value = z.union([z.string(), z.array(z.string()), z.record(z.string(), z.string())]);
export type Value = z.infer<typeof Value>;

const Param = z.object({ name: z.string(), value: Value });
const ParamSpec = z.object({ name: z.string(), default: Value.optional() });
const When = z.object({ input: z.string(), operator: z.enum(['in', 'notin']), values: z.array(z.string()) });

const Env = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ secretKeyRef: z.object({ name: z.string(), key: z.string() }).optional() }).optional(),
});

const Step = z.object({
  name: z.string().optional(),
  image: z.string().optional(),
  script: z.string().optional(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(Env).default([]),
  workingDir: z.string().optional(),
});
export type Step = z.infer<typeof Step>;

export const TaskSpec = z.object({
  params: z.array(ParamSpec).default([]),
  results: z.array(z.object({ name: z.string(), type: z.string().default('string') })).default([]),
  workspaces: z.array(z.object({ name: z.string(), optional: z.boolean().default(false) })).default([]),
  stepTemplate: z.object({ env: z.array(Env).default([]), workingDir: z.string().optional() }).optional(),
  steps: z.array(Step).min(1),
});
export type TaskSpec = z.infer<typeof TaskSpec>;

export const PipelineTask = z.object({
  name: z.string(),
  taskSpec: TaskSpec.optional(),
  taskRef: z.looseObject({ name: z.string().optional() }).optional(),
  params: z.array(Param).default([]),
  runAfter: z.array(z.string()).default([]),
  when: z.array(When).default([]),
  workspaces: z
    .array(z.object({ name: z.string(), workspace: z.string().optional(), subPath: z.string().optional() }))
    .default([]),
  timeout: z.string().optional(),
});
export type PipelineTask = z.infer<typeof PipelineTask>;

const PipelineSpec = z.object({
  params: z.array(ParamSpec).default([]),
  workspaces: z.array(z.object({ name: z.string(), optional: z.boolean().default(false) })).default([]),
  tasks: z.array(PipelineTask).default([]),
  finally: z.array(PipelineTask).default([]),
  results: z.array(z.object({ name: z.string(), value: Value })).default([]),
});
export type PipelineSpec = z.infer<typeof PipelineSpec>;

export const WorkspaceBinding = z.object({
  name: z.string(),
  subPath: z.string().optional(),
  emptyDir: z.looseObject({}).optional(),
  volumeClaimTemplate: z.looseObject({}).optional(),
  persistentVolumeClaim: z.object({ claimName: z.string() }).optional(),
  secret: z.object({ secretName: z.string() }).optional(),
  configMap: z.object({ name: z.string() }).optional(),
});
export type WorkspaceBinding = z.infer<typeof WorkspaceBinding>;

export const RUN_STATUSES = ['Cancelled', 'CancelledRunFinally', 'StoppedRunFinally', 'PipelineRunPending'] as const;

export const PipelineRunSpec = z.object({
  pipelineSpec: PipelineSpec.optional(),
  pipelineRef: z.looseObject({ name: z.string().optional() }).optional(),
  params: z.array(Param).default([]),
  workspaces: z.array(WorkspaceBinding).default([]),
  timeouts: z
    .object({ pipeline: z.string().optional(), tasks: z.string().optional(), finally: z.string().optional() })
    .default({}),
  taskRunTemplate: z.looseObject({ serviceAccountName: z.string().optional() }).default({}),
  status: z.string().optional(),
});
export type PipelineRunSpec = z.infer<typeof PipelineRunSpec>;

const Condition = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().optional(),
  message: z.string().optional(),
  lastTransitionTime: z.string().optional(),
});
export type Condition = z.infer<typeof Condition>;

export const RunStatus = z
  .looseObject({
    conditions: z.array(Condition).default([]),
    startTime: z.string().optional(),
    completionTime: z.string().optional(),
    results: z.array(z.object({ name: z.string(), value: Value })).optional(),
  })
  .prefault({});
export type RunStatus = z.infer<typeof RunStatus>;
