import { type Call, projectOf, type Route, route } from './call.ts';
import { readCommits, readDiffs } from './history.ts';
import { requestView } from './merge-request-view.ts';
import { requestOf } from './notes.ts';
import { page } from './paging.ts';
import { ok } from './reply.ts';
import { commitView, userById } from './views.ts';
import { repositoryOf } from './world.ts';

function diffsOf(call: Call) {
  const project = projectOf(call);
  const request = requestOf(call, project);
  return readDiffs(repositoryOf(call.world, project), request.base_sha, request.sha);
}

/** What a merge request changes. */
export const requestDiffRoutes: Route[] = [
  route('GET', '/projects/:id/merge_requests/:iid/diffs', async (call) =>
    page(
      call,
      await diffsOf(call),
      (diff) => diff,
      (diff) => `${diff.old_path}:${diff.new_path}`,
    ),
  ),

  route('GET', '/projects/:id/merge_requests/:iid/changes', async (call) => {
    const project = projectOf(call);
    const request = requestOf(call, project);
    const view = requestView(call.world, project, request, call.identity?.user);
    return ok({ ...view, changes: await diffsOf(call), overflow: false });
  }),

  route('GET', '/projects/:id/merge_requests/:iid/commits', async (call) => {
    const project = projectOf(call);
    const request = requestOf(call, project);
    const range = ['--topo-order', `${request.base_sha}..${request.sha}`, '--'];
    const commits = await readCommits(repositoryOf(call.world, project), range);
    return page(
      call,
      commits,
      (commit) => commitView(call.world, project, commit),
      (commit) => commit.id,
    );
  }),

  route('GET', '/projects/:id/merge_requests/:iid/participants', (call) => {
    const request = requestOf(call, projectOf(call));
    const notes = call.world.store.notes.filter((note) => note.merge_request_id === request.id && !note.system);
    const people = [...new Set([request.author_id, ...notes.map((note) => note.author_id)])];
    return page(call, people, (id) => userById(call.world, id));
  }),
];
