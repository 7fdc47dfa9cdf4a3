import { z } from 'zod';
import { DEVELOPER, REPORTER } from './access.ts';
import { type Call, caller, pathNumber, projectFor, projectOf, type Route, route, take } from './call.ts';
import { commitOf, gitText } from './git.ts';
import { autoMerge } from './merge.ts';
import { requestOf } from './notes.ts';
import { page } from './paging.ts';
import { flag, integer, text } from './params.ts';
import { headPipeline, latestStatuses, pipelineStatus } from './pipelines.ts';
import { type Pipeline, type Project, STATUS_STATES, type Status, type User } from './records.ts';
import { keepAround } from './refs.ts';
import { created, notFound, ok, refuse } from './reply.ts';
import { pipelineView, statusView } from './views.ts';
import { now, repositoryOf, type World } from './world.ts';

const MAX_TEXT = 255;
const NewStatus = z.object({
  state: z.enum(STATUS_STATES),
  ref: text.optional(),
  name: text.optional(),
  context: text.optional(),
  target_url: text.optional(),
  description: text.optional(),
  coverage: z.coerce.number().optional(),
  pipeline_id: integer.optional(),
});

const EVENTS = {
  pending: 'enqueue',
  running: 'run',
  success: 'success',
  failed: 'drop',
  canceled: 'cancel',
  skipped: 'skip',
} as const;

/** A status may go from pending to running to an end, never back and never to where it is. */
function checkTransition(from: Status['status'], to: Status['status']): void {
  const allowed = to !== 'pending' && to !== from;
  if (allowed) return;
  const event = EVENTS[to];
  throw refuse(
    400,
    `Cannot transition status via :${event} from :${from} (Reason(s): Status cannot transition via "${event}")`,
  );
}

async function post(call: Call) {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const user = caller(call);
  const wanted = take(call, NewStatus);
  const repository = repositoryOf(world, project);
  const sha = await commitOf(repository, call.path.sha ?? '');
  if (sha === undefined) throw notFound('Commit');
  if ((wanted.target_url?.length ?? 0) > MAX_TEXT)
    throw refuse(400, { target_url: ['is too long (maximum is 255 characters)'] });
  if ((wanted.description?.length ?? 0) > MAX_TEXT)
    throw refuse(400, { description: ['is too long (maximum is 255 characters)'] });
  const ref = wanted.ref?.replace(/^refs\/heads\//, '') ?? (await firstBranchWith(repository, sha));
  if (ref === undefined) throw notFound('References for commit');
  const pipeline = pipelineFor(world, project, user, sha, ref, wanted.pipeline_id);
  const status = record(world, project, user, pipeline, wanted);
  world.store.pipelines.change(pipeline, { updated_at: now() });
  await keepAround(repository, sha);
  if (pipelineStatus(world, pipeline) === 'success') autoMerge(world, project, sha);
  return created(statusView(world, status));
}

async function firstBranchWith(repository: string, sha: string): Promise<string | undefined> {
  const out = await gitText(repository, [
    'for-each-ref',
    '--contains',
    sha,
    '--format=%(refname:lstrip=2)',
    'refs/heads/',
  ]);
  return out.split('\n').filter(Boolean)[0];
}

/** @throws Refused 404 for a `pipeline_id` that is not of this commit */
function pipelineFor(
  world: World,
  project: Project,
  user: User,
  sha: string,
  ref: string,
  id: number | undefined,
): Pipeline {
  const mine = world.store.pipelines.filter((each) => each.project_id === project.id);
  const ofCommit = mine.filter((each) => each.sha === sha);
  if (id !== undefined) {
    const named = ofCommit.find((each) => each.id === id);
    if (named === undefined) throw notFound('Pipeline for pipeline_id, sha and ref');
    return named;
  }
  const known = ofCommit.filter((each) => each.ref === ref).at(-1);
  if (known !== undefined) return known;
  const moment = now();
  return world.store.pipelines.add({
    iid: mine.length + 1,
    project_id: project.id,
    sha,
    ref,
    user_id: user.id,
    created_at: moment,
    updated_at: moment,
  });
}

/** Moves the unfinished status of that name on, or begins a new one. */
function record(
  world: World,
  project: Project,
  user: User,
  pipeline: Pipeline,
  wanted: z.infer<typeof NewStatus>,
): Status {
  const name = wanted.name ?? wanted.context ?? 'default';
  const moment = now();
  const ended = wanted.state !== 'pending' && wanted.state !== 'running';
  const unfinished = world.store.statuses.find(
    (each) =>
      each.pipeline_id === pipeline.id &&
      each.name === name &&
      each.author_id === user.id &&
      (each.status === 'pending' || each.status === 'running'),
  );
  if (unfinished !== undefined) {
    checkTransition(unfinished.status, wanted.state);
    return world.store.statuses.change(unfinished, {
      status: wanted.state,
      target_url: wanted.target_url ?? unfinished.target_url,
      description: wanted.description ?? unfinished.description,
      started_at: unfinished.started_at ?? moment,
      finished_at: ended ? moment : null,
    });
  }
  return world.store.statuses.add({
    project_id: project.id,
    pipeline_id: pipeline.id,
    sha: pipeline.sha,
    ref: pipeline.ref,
    status: wanted.state,
    name,
    target_url: wanted.target_url ?? null,
    description: wanted.description ?? null,
    coverage: wanted.coverage ?? null,
    author_id: user.id,
    created_at: moment,
    started_at: wanted.state === 'pending' ? null : moment,
    finished_at: ended ? moment : null,
  });
}

async function list(call: Call) {
  const { world } = call;
  const project = projectOf(call);
  const wanted = take(
    call,
    z.object({
      all: flag.default(false),
      ref: text.optional(),
      name: text.optional(),
      sort: z.enum(['asc', 'desc']).default('asc'),
    }),
  );
  const sha = await commitOf(repositoryOf(world, project), call.path.sha ?? '');
  if (sha === undefined) throw notFound('Commit');
  const ofCommit = world.store.statuses.filter((each) => each.project_id === project.id && each.sha === sha);
  const found = (wanted.all ? ofCommit : latestStatuses(ofCommit))
    .filter((each) => wanted.ref === undefined || each.ref === wanted.ref)
    .filter((each) => wanted.name === undefined || each.name === wanted.name)
    .sort((one, other) => one.id - other.id);
  if (wanted.sort === 'desc') found.reverse();
  return page(
    call,
    found,
    (status) => statusView(world, status),
    (status) => String(status.id),
  );
}

const viewPipeline = (world: World, project: Project) => (pipeline: Pipeline) =>
  pipelineView(world, project, pipeline, pipelineStatus(world, pipeline));

/** External statuses and the pipelines they make (konflux-and-gitlab.md §1.7, §4.5). */
export const statusRoutes: Route[] = [
  route('POST', '/projects/:id/statuses/:sha', post),
  route('GET', '/projects/:id/repository/commits/:sha/statuses', list),
  route('GET', '/projects/:id/pipelines', (call) => {
    const project = projectOf(call);
    const wanted = take(call, z.object({ sha: text.optional(), ref: text.optional() }));
    const found = call.world.store.pipelines
      .filter((each) => each.project_id === project.id)
      .filter((each) => (wanted.sha ?? each.sha) === each.sha && (wanted.ref ?? each.ref) === each.ref)
      .reverse();
    return page(call, found, viewPipeline(call.world, project), (pipeline) => String(pipeline.id));
  }),
  route('GET', '/projects/:id/pipelines/:pipeline_id', (call) => {
    const project = projectFor(call, REPORTER);
    const pipeline = call.world.store.pipelines.get(pathNumber(call, 'pipeline_id'));
    if (pipeline === undefined || pipeline.project_id !== project.id) throw notFound();
    return ok(viewPipeline(call.world, project)(pipeline));
  }),
  route('GET', '/projects/:id/merge_requests/:iid/pipelines', (call) => {
    const project = projectOf(call);
    const pipeline = headPipeline(call.world, project, requestOf(call, project).sha);
    return page(call, pipeline === undefined ? [] : [pipeline], viewPipeline(call.world, project));
  }),
];
