import { parseAllDocuments, type YAMLError } from 'yaml';
import { z } from 'zod';
import type { Event } from './hook.ts';
import type { Repository } from './repository.ts';

const Document = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    annotations: z.record(z.string(), z.string()).optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.looseObject({}),
});
export type Document = z.infer<typeof Document>;

/** A PipelineRun of `.tekton/`. */
export interface Template {
  /** Becomes the annotation `original-prname`. */
  name: string;
  document: Document;
}

export interface Definitions {
  templates: Template[];
  pipelines: ReadonlyMap<string, Document>;
  tasks: ReadonlyMap<string, Document>;
  /** One of them stops everything (konflux-and-gitlab.md §1.2). */
  errors: { name: string; error: string }[];
}

const VARIABLE = /\{\{\s*([A-Za-z_][\w.-]*(?:\['[^']*'\])?)\s*\}\}/g;
const branchName = (ref: string) => ref.replace(/^refs\/heads\//, '');

/** The values of `{{ … }}`, `git_auth_secret` excepted: that one differs from run to run. */
export function variables(event: Event, { params, namespace }: Repository): ReadonlyMap<string, string> {
  const path = event.projectPath.toLowerCase().split('/');
  return new Map([
    ...params,
    ['revision', event.sha],
    ['repo_url', event.repoUrl],
    ['repo_owner', path.slice(0, -1).join('/')],
    ['repo_name', path.at(-1) ?? ''],
    ['target_branch', branchName(event.baseBranch)],
    ['source_branch', branchName(event.headBranch)],
    ['source_url', event.sourceUrl],
    ['sender', event.sender.toLowerCase()],
    ['event', event.trigger],
    ['event_type', event.eventType],
    ['pull_request_number', event.iid === undefined ? '' : String(event.iid)],
    ['target_namespace', namespace],
    ['trigger_comment', event.comment.replaceAll('\n', '\\n')],
    ['pull_request_labels', event.labels.join('\\n')],
    ['git_tag', event.baseBranch.startsWith('refs/tags/') ? event.baseBranch.slice('refs/tags/'.length) : ''],
  ]);
}

/** Replaces what is known; an unknown variable stays as it is written. */
export function render(text: string, known: ReadonlyMap<string, string>, body: unknown): string {
  return text.replace(VARIABLE, (whole, name: string) => {
    if (!name.startsWith('body.')) return known.get(name) ?? whole;
    const found = name
      .split('.')
      .slice(1)
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], body);
    return found === undefined ? whole : typeof found === 'string' ? found : JSON.stringify(found);
  });
}

/** Reads all documents of `.tekton/`, variables replaced. */
export function readDefinitions(files: readonly { path: string; text: string }[]): Definitions {
  const templates: Template[] = [];
  const byKind = { Pipeline: new Map<string, Document>(), Task: new Map<string, Document>() };
  const errors: Definitions['errors'] = [];
  for (const { path, text } of files) {
    for (const document of parseAllDocuments(text)) {
      const [broken] = document.errors;
      const value: unknown = broken ? undefined : document.toJS();
      if (value === null) continue;
      const parsed = Document.safeParse(value);
      if (broken) errors.push({ name: path, error: yamlError(broken) });
      if (!parsed.success) continue;
      const { kind, apiVersion, metadata } = parsed.data;
      if (!apiVersion.startsWith('tekton.dev/')) continue;
      const name = metadata.name ?? metadata.generateName?.replace(/-$/, '');
      if (name === undefined) errors.push({ name: path, error: `${kind} has no name` });
      else if (kind === 'PipelineRun') templates.push({ name, document: parsed.data });
      else if (kind === 'Pipeline' || kind === 'Task') byKind[kind].set(name, parsed.data);
    }
  }
  return { templates, pipelines: byKind.Pipeline, tasks: byKind.Task, errors };
}

/**
 * The template with references by name replaced by what they name in the same `.tekton/`; references with a resolver
 * stay. Undefined reference: gives the text that becomes the description of a failed status.
 */
export function inline(
  { document }: Template,
  { pipelines, tasks }: Definitions,
): { document: Document } | { missing: string } {
  const copy = structuredClone(document);
  const spec = copy.spec as { pipelineRef?: { name?: string; resolver?: string }; pipelineSpec?: unknown };
  if (spec.pipelineRef?.name !== undefined && spec.pipelineRef.resolver === undefined) {
    const pipeline = pipelines.get(spec.pipelineRef.name);
    if (!pipeline) return { missing: `cannot find referenced pipeline ${spec.pipelineRef.name}` };
    spec.pipelineSpec = structuredClone(pipeline.spec);
    delete spec.pipelineRef;
  }
  const pipelineSpec = spec.pipelineSpec as Record<'tasks' | 'finally', TaskReference[] | undefined> | undefined;
  for (const task of [...(pipelineSpec?.tasks ?? []), ...(pipelineSpec?.finally ?? [])]) {
    if (task.taskRef?.name === undefined || task.taskRef.resolver !== undefined) continue;
    const found = tasks.get(task.taskRef.name);
    if (!found) return { missing: `cannot find referenced task ${task.taskRef.name}` };
    task.taskSpec = structuredClone(found.spec);
    delete task.taskRef;
  }
  return { document: copy };
}

function yamlError({ message, linePos }: YAMLError): string {
  return `yaml validation error: line ${linePos?.[0].line ?? 1}: ${message.split('\n')[0]}`;
}

interface TaskReference {
  taskRef?: { name?: string; resolver?: string };
  taskSpec?: unknown;
}
