import type { Pipeline, Project, Status } from './records.ts';
import type { World } from './world.ts';

/** The newest pipeline of a commit, made of external statuses (konflux-and-gitlab.md §1.7); undefined when none came. */
export function headPipeline(world: World, project: Project, sha: string): Pipeline | undefined {
  return world.store.pipelines.filter((each) => each.project_id === project.id && each.sha === sha).at(-1);
}

/** Of each name the newest status. */
export function latestStatuses(statuses: Status[]): Status[] {
  return [...new Map(statuses.map((status) => [`${status.ref}\n${status.name}`, status])).values()];
}

/** What the statuses of a pipeline add up to. */
export function pipelineStatus(world: World, pipeline: Pipeline): Status['status'] {
  const states = latestStatuses(world.store.statuses.filter((each) => each.pipeline_id === pipeline.id)).map(
    (each) => each.status,
  );
  if (states.includes('running')) return 'running';
  if (states.includes('pending')) return states.some((state) => state !== 'pending') ? 'running' : 'pending';
  if (states.includes('failed')) return 'failed';
  if (states.includes('canceled')) return 'canceled';
  return states.every((state) => state === 'skipped') ? 'skipped' : 'success';
}
