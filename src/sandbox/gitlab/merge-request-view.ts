import { mayMergeInto } from './access.ts';
import { labelView } from './labels.ts';
import { detailedStatus, isDraft, mergeStatus, unresolved } from './mergeability.ts';
import { headPipeline, pipelineStatus } from './pipelines.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { pipelineView, userById, webUrl } from './views.ts';
import type { World } from './world.ts';

/** More files than this are told as `1000+`. */
const COUNTED_FILES = 1000;

/** The merge request as lists show it. */
export function listedRequestView(world: World, project: Project, request: MergeRequest, labelDetails = false) {
  const full = `${project.path_with_namespace}!${request.iid}`;
  return {
    id: request.id,
    iid: request.iid,
    project_id: request.project_id,
    title: request.title,
    description: request.description,
    state: request.state,
    created_at: request.created_at,
    updated_at: request.updated_at,
    merged_by: request.merge_user_id === null ? null : userById(world, request.merge_user_id),
    merge_user: request.merge_user_id === null ? null : userById(world, request.merge_user_id),
    merged_at: request.merged_at,
    closed_by: request.closed_by_id === null ? null : userById(world, request.closed_by_id),
    closed_at: request.closed_at,
    target_branch: request.target_branch,
    source_branch: request.source_branch,
    user_notes_count: world.store.notes.filter((note) => note.merge_request_id === request.id && !note.system).length,
    upvotes: 0,
    downvotes: 0,
    author: userById(world, request.author_id),
    assignees: request.assignee_ids.map((id) => userById(world, id)),
    assignee: request.assignee_ids[0] === undefined ? null : userById(world, request.assignee_ids[0]),
    reviewers: request.reviewer_ids.map((id) => userById(world, id)),
    source_project_id: request.project_id,
    target_project_id: request.project_id,
    labels: labelDetails ? request.labels.map((label) => labelView(project, label)) : request.labels,
    draft: isDraft(request),
    imported: false,
    imported_from: 'none',
    work_in_progress: isDraft(request),
    milestone: null,
    merge_when_pipeline_succeeds: request.auto_merge !== null,
    merge_status: mergeStatus(request),
    detailed_merge_status: detailedStatus(world, project, request),
    merge_after: null,
    sha: request.sha,
    merge_commit_sha: request.merge_commit_sha,
    squash_commit_sha: request.squash_commit_sha,
    discussion_locked: request.discussion_locked,
    should_remove_source_branch: request.should_remove_source_branch,
    force_remove_source_branch: request.force_remove_source_branch,
    prepared_at: request.prepared_at,
    reference: `!${request.iid}`,
    references: { short: `!${request.iid}`, relative: `!${request.iid}`, full },
    web_url: `${webUrl(world, project)}/-/merge_requests/${request.iid}`,
    time_stats: { time_estimate: 0, total_time_spent: 0, human_time_estimate: null, human_total_time_spent: null },
    squash: request.squash,
    squash_on_merge: squashes(project, request),
    task_completion_status: { count: 0, completed_count: 0 },
    has_conflicts: request.merge_status === 'cannot_be_merged',
    blocking_discussions_resolved: !unresolved(world, request),
    approvals_before_merge: null,
  };
}

/** Whether merging squashes, by the request's wish and the project's setting. */
export function squashes(project: Project, request: MergeRequest): boolean {
  if (project.squash_option === 'always') return true;
  return project.squash_option !== 'never' && request.squash;
}

/** The merge request as its own address shows it. */
export function requestView(world: World, project: Project, request: MergeRequest, viewer: User | undefined) {
  const pipeline = headPipeline(world, project, request.sha);
  const head = pipeline === undefined ? null : pipelineView(world, project, pipeline, pipelineStatus(world, pipeline));
  const { changed_files: files } = request;
  return {
    ...listedRequestView(world, project, request),
    subscribed: false,
    changes_count: files === null || files === 0 ? null : files > COUNTED_FILES ? `${COUNTED_FILES}+` : String(files),
    latest_build_started_at: head?.created_at ?? null,
    latest_build_finished_at: null,
    first_deployed_to_production_at: null,
    pipeline: head,
    head_pipeline: head,
    // Worked out while the request is prepared (konflux-and-gitlab.md §4.1).
    diff_refs:
      request.prepared_at === null
        ? null
        : { base_sha: request.base_sha, head_sha: request.sha, start_sha: request.start_sha },
    merge_error: request.merge_error,
    first_contribution: false,
    user: { can_merge: viewer !== undefined && mayMergeInto(world, viewer, project, request.target_branch) },
  };
}
