import type { PipelineTask } from './schema.ts';
import { variablesIn } from './substitution.ts';

/** Tasks whose results this one reads. */
export function resultSources({ params, when }: PipelineTask): string[] {
  const sources = variablesIn([params, when]).flatMap(({ path: [head, task, what] }) =>
    head === 'tasks' && task !== undefined && what === 'results' ? [task] : [],
  );
  return [...new Set(sources)];
}

/** Tasks that must be over before this one: `runAfter` and those whose results it reads. */
export function dependencies(task: PipelineTask): string[] {
  return [...new Set([...task.runAfter, ...resultSources(task)])];
}
