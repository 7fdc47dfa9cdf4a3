import { z } from 'zod';
import { levelOf } from './access.ts';
import { type Call, caller, projectOf, type Route, route, take } from './call.ts';
import { listedRequestView } from './merge-request-view.ts';
import { isDraft, startCheck } from './mergeability.ts';
import { page } from './paging.ts';
import { flag, ids, integer, list, text } from './params.ts';
import type { MergeRequest, Project } from './records.ts';
import type { World } from './world.ts';

const Filters = z.object({
  state: z.enum(['opened', 'closed', 'locked', 'merged', 'all']).default('all'),
  source_branch: text.optional(),
  target_branch: text.optional(),
  iids: ids.optional(),
  labels: list.optional(),
  author_id: integer.optional(),
  author_username: text.optional(),
  search: text.optional(),
  draft: flag.optional(),
  wip: z.enum(['yes', 'no']).optional(),
  created_after: z.string().optional(),
  created_before: z.string().optional(),
  updated_after: z.string().optional(),
  updated_before: z.string().optional(),
  order_by: z
    .enum(['created_at', 'updated_at', 'title', 'merged_at', 'priority', 'label_priority'])
    .default('created_at'),
  sort: z.enum(['asc', 'desc']).default('desc'),
  with_merge_status_recheck: flag.default(false),
  with_labels_details: flag.default(false),
});

function matches(world: World, request: MergeRequest, wanted: z.infer<typeof Filters>): boolean {
  const author = world.store.users.get(request.author_id);
  const words = `${request.title}\n${request.description ?? ''}`.toLowerCase();
  const later = (moment: string, limit: string | undefined) =>
    limit === undefined || Date.parse(moment) >= Date.parse(limit);
  const earlier = (moment: string, limit: string | undefined) =>
    limit === undefined || Date.parse(moment) <= Date.parse(limit);
  return (
    (wanted.state === 'all' || request.state === wanted.state) &&
    (wanted.source_branch === undefined || request.source_branch === wanted.source_branch) &&
    (wanted.target_branch === undefined || request.target_branch === wanted.target_branch) &&
    (wanted.iids === undefined || wanted.iids.includes(request.iid)) &&
    (wanted.draft === undefined || isDraft(request) === wanted.draft) &&
    (wanted.wip === undefined || isDraft(request) === (wanted.wip === 'yes')) &&
    (wanted.labels ?? []).every((label) => request.labels.includes(label)) &&
    (wanted.author_id === undefined || request.author_id === wanted.author_id) &&
    (wanted.author_username === undefined || author?.username === wanted.author_username) &&
    (wanted.search === undefined || words.includes(wanted.search.toLowerCase())) &&
    later(request.created_at, wanted.created_after) &&
    earlier(request.created_at, wanted.created_before) &&
    later(request.updated_at, wanted.updated_after) &&
    earlier(request.updated_at, wanted.updated_before)
  );
}

function listRequests(call: Call, candidates: MergeRequest[]) {
  const { world } = call;
  const wanted = take(call, Filters);
  const found = candidates.filter((request) => matches(world, request, wanted));
  const key = (request: MergeRequest) => {
    if (wanted.order_by === 'title') return request.title;
    return wanted.order_by === 'updated_at' ? request.updated_at : request.created_at;
  };
  // Several may be of one millisecond; ids tell them apart.
  found.sort((one, other) => (key(one) === key(other) ? one.id - other.id : key(one) < key(other) ? -1 : 1));
  if (wanted.sort === 'desc') found.reverse();
  if (wanted.with_merge_status_recheck) for (const request of found) startCheck(world, request);
  const view = (request: MergeRequest) => {
    const project = world.store.projects.get(request.project_id) as Project;
    return listedRequestView(world, project, request, wanted.with_labels_details);
  };
  return page(call, found, view, (request) => String(request.id));
}

/** Lists of merge requests. */
export const requestListRoutes: Route[] = [
  route('GET', '/projects/:id/merge_requests', (call) => {
    const project = projectOf(call);
    return listRequests(
      call,
      call.world.store.mergeRequests.filter((each) => each.project_id === project.id),
    );
  }),

  route('GET', '/merge_requests', (call) => {
    const user = caller(call);
    const { scope } = take(call, z.object({ scope: z.string().default('created_by_me') }));
    const seen = (request: MergeRequest) =>
      levelOf(call.world, user, call.world.store.projects.get(request.project_id) as Project) > 0;
    return listRequests(
      call,
      call.world.store.mergeRequests.filter(
        (request) =>
          seen(request) &&
          (scope === 'all' ||
            (scope === 'assigned_to_me' ? request.assignee_ids.includes(user.id) : request.author_id === user.id)),
      ),
    );
  }),
];
