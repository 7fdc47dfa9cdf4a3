import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DEVELOPER, levelOf } from './access.ts';
import { type Call, caller, pathNumber, projectOf, type Route, route, take } from './call.ts';
import { announceNote } from './events.ts';
import { commitOf } from './git.ts';
import { page } from './paging.ts';
import { flag, text } from './params.ts';
import { dropQuickActions } from './quick-actions.ts';
import type { MergeRequest, Note, Project, User } from './records.ts';
import { created, forbidden, noContent, notFound, ok, Refused, refuse } from './reply.ts';
import { noteView, userById } from './views.ts';
import { now, repositoryOf, type World } from './world.ts';

const MAX_NOTE = 1_000_000;
const NoteBody = z.object({ body: text });

/** Finds the merge request of the path. @throws Refused 404 */
export function requestOf(call: Call, project: Project): MergeRequest {
  const iid = pathNumber(call, 'iid');
  const request = call.world.store.mergeRequests.find((each) => each.project_id === project.id && each.iid === iid);
  if (request === undefined) throw notFound();
  return request;
}

/** What GitLab itself remarks on a merge request. */
export function systemNote(world: World, request: MergeRequest, user: User, body: string): void {
  addNote(world, user, { project_id: request.project_id, merge_request_id: request.id, body, system: true });
}

function addNote(
  world: World,
  user: User,
  fields: Pick<Note, 'project_id' | 'merge_request_id' | 'body'> & Partial<Note>,
): Note {
  const moment = now();
  return world.store.notes.add({
    commit_id: null,
    discussion_id: randomBytes(20).toString('hex'),
    resolvable: false,
    resolved: false,
    author_id: user.id,
    system: false,
    created_at: moment,
    updated_at: moment,
    ...fields,
  });
}

function checkedBody(call: Call): string {
  const { body } = take(call, NoteBody);
  if (body.trim() === '') throw refuse(400, '400 Bad request - Note {:note=>["can\'t be blank"]}');
  if (body.length > MAX_NOTE) throw refuse(400, '400 Bad request - Note {:note=>["is too long"]}');
  return body;
}

/** @throws Refused 202 when nothing but commands is left, as GitLab answers then */
function withoutCommands(body: string): string {
  const kept = dropQuickActions(body);
  if (kept.trim() !== '') return kept;
  throw new Refused({ status: 202, body: { commands_changes: {}, summary: ['Commands applied'] } });
}

/** Adds the caller's comment; lines that are quick actions are gone from it. */
async function addRequestNote(call: Call, more: Partial<Note> = {}): Promise<Note> {
  const project = projectOf(call);
  const user = caller(call);
  const request = requestOf(call, project);
  if (request.discussion_locked === true && levelOf(call.world, user, project) < DEVELOPER) throw forbidden();
  const note = addNote(call.world, user, {
    project_id: project.id,
    merge_request_id: request.id,
    body: withoutCommands(checkedBody(call)),
    ...more,
  });
  await announceNote(call.world, project, user, note, 'create');
  return note;
}

function noteOf(call: Call, request: MergeRequest): Note {
  const note = call.world.store.notes.get(pathNumber(call, 'note_id', 'Note'));
  if (note === undefined || note.merge_request_id !== request.id) throw notFound('Note');
  return note;
}

/** The note, when the caller may change it: its author or a maintainer. */
function changeableNote(call: Call): Note {
  const project = projectOf(call);
  const user = caller(call);
  const note = noteOf(call, requestOf(call, project));
  if (note.author_id !== user.id && levelOf(call.world, user, project) < 40) throw forbidden();
  return note;
}

const notesOf = (call: Call, request: MergeRequest) =>
  call.world.store.notes.filter((note) => note.merge_request_id === request.id);

const NoteOrder = z.object({ sort: z.enum(['asc', 'desc']).default('desc'), activity_filter: z.string().optional() });

function discussionView(world: World, notes: Note[]) {
  const [first] = notes;
  return {
    id: first?.discussion_id,
    individual_note: first?.resolvable !== true,
    notes: notes.map((note) => noteView(world, note)),
  };
}

const discussionsOf = (call: Call, request: MergeRequest): Note[][] => [
  ...Map.groupBy(notesOf(call, request), (note) => note.discussion_id).values(),
];

function discussionOf(call: Call): Note[] {
  const found = discussionsOf(call, requestOf(call, projectOf(call))).find(
    ([first]) => first?.discussion_id === call.path.discussion_id,
  );
  if (found === undefined) throw notFound('Discussion');
  return found;
}

/** Comments: on merge requests (alone and in threads) and on commits (konflux-and-gitlab.md §1.6, real-cluster.md §5.2). */
export const noteRoutes: Route[] = [
  route('GET', '/projects/:id/merge_requests/:iid/notes', (call) => {
    const { sort } = take(call, NoteOrder);
    const notes = notesOf(call, requestOf(call, projectOf(call)));
    return page(call, sort === 'asc' ? notes : notes.reverse(), (note) => noteView(call.world, note));
  }),

  route('POST', '/projects/:id/merge_requests/:iid/notes', async (call) =>
    created(noteView(call.world, await addRequestNote(call))),
  ),

  route('GET', '/projects/:id/merge_requests/:iid/notes/:note_id', (call) =>
    ok(noteView(call.world, noteOf(call, requestOf(call, projectOf(call))))),
  ),

  route('PUT', '/projects/:id/merge_requests/:iid/notes/:note_id', async (call) => {
    const note = changeableNote(call);
    call.world.store.notes.change(note, { body: checkedBody(call), updated_at: now() });
    await announceNote(call.world, projectOf(call), caller(call), note, 'update');
    return ok(noteView(call.world, note));
  }),

  route('DELETE', '/projects/:id/merge_requests/:iid/notes/:note_id', (call) => {
    call.world.store.notes.remove(changeableNote(call));
    return noContent();
  }),

  route('GET', '/projects/:id/merge_requests/:iid/discussions', (call) =>
    page(call, discussionsOf(call, requestOf(call, projectOf(call))), (notes) => discussionView(call.world, notes)),
  ),

  route('POST', '/projects/:id/merge_requests/:iid/discussions', async (call) =>
    created(discussionView(call.world, [await addRequestNote(call, { resolvable: true })])),
  ),

  route('GET', '/projects/:id/merge_requests/:iid/discussions/:discussion_id', (call) =>
    ok(discussionView(call.world, discussionOf(call))),
  ),

  route('POST', '/projects/:id/merge_requests/:iid/discussions/:discussion_id/notes', async (call) => {
    const { discussion_id } = discussionOf(call)[0] as Note;
    return created(noteView(call.world, await addRequestNote(call, { discussion_id, resolvable: true })));
  }),

  route('PUT', '/projects/:id/merge_requests/:iid/discussions/:discussion_id', (call) => {
    const { resolved } = take(call, z.object({ resolved: flag }));
    caller(call);
    const notes = discussionOf(call);
    for (const note of notes) call.world.store.notes.change(note, { resolved, updated_at: now() });
    return ok(discussionView(call.world, notes));
  }),

  route('POST', '/projects/:id/repository/commits/:sha/comments', async (call) => {
    const project = projectOf(call);
    const user = caller(call);
    const sha = await commitOf(repositoryOf(call.world, project), call.path.sha ?? '');
    if (sha === undefined) throw notFound('Commit');
    const { note: body } = take(call, z.object({ note: text }));
    const note = addNote(call.world, user, { project_id: project.id, merge_request_id: null, commit_id: sha, body });
    await announceNote(call.world, project, user, note, 'create');
    return created({
      note: note.body,
      path: null,
      line: null,
      line_type: null,
      author: userById(call.world, user.id),
      created_at: note.created_at,
    });
  }),

  route('GET', '/projects/:id/repository/commits/:sha/comments', async (call) => {
    const project = projectOf(call);
    const sha = await commitOf(repositoryOf(call.world, project), call.path.sha ?? '');
    if (sha === undefined) throw notFound('Commit');
    const notes = call.world.store.notes.filter((note) => note.project_id === project.id && note.commit_id === sha);
    return page(call, notes, (note) => ({
      note: note.body,
      path: null,
      line: null,
      line_type: null,
      author: userById(call.world, note.author_id),
      created_at: note.created_at,
    }));
  }),
];
