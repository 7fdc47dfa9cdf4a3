import { z } from 'zod';
import { type Call, projectOf, type Route, route, take } from './call.ts';
import { commitOf, git, gitText } from './git.ts';
import { type Commit, readCommit, readCommits, readDiffs } from './history.ts';
import { listedRequestView } from './merge-request-view.ts';
import { page } from './paging.ts';
import { flag, integer, text } from './params.ts';
import { headPipeline, pipelineStatus } from './pipelines.ts';
import type { Project } from './records.ts';
import { notFound, ok, type Reply } from './reply.ts';
import { commitView, pipelineView } from './views.ts';
import { repositoryOf, type World } from './world.ts';

const Filters = z.object({
  ref_name: text.optional(),
  path: text.optional(),
  since: text.optional(),
  until: text.optional(),
  author: text.optional(),
  all: flag.default(false),
  first_parent: flag.default(false),
  order: z.enum(['default', 'topo']).default('default'),
  page: integer.default(1),
  per_page: integer.default(20),
});

/** Commits of a ref, newest first. No totals, as in GitLab: counting them would take too long there. */
async function listCommits(call: Call): Promise<Reply> {
  const project = projectOf(call);
  const wanted = take(call, Filters);
  const repository = repositoryOf(call.world, project);
  const ref = wanted.ref_name ?? project.default_branch ?? '';
  const range = ref.includes('..') ? ref : await commitOf(repository, ref);
  if (!wanted.all && range === undefined) {
    if (wanted.ref_name === undefined) return ok([]);
    throw notFound('Commit');
  }
  const size = Math.min(Math.max(wanted.per_page, 1), 100);
  const commits = await readCommits(repository, [
    `--skip=${(Math.max(wanted.page, 1) - 1) * size}`,
    `--max-count=${size + 1}`,
    ...(wanted.since === undefined ? [] : [`--since=${wanted.since}`]),
    ...(wanted.until === undefined ? [] : [`--until=${wanted.until}`]),
    ...(wanted.author === undefined ? [] : [`--author=${wanted.author}`]),
    ...(wanted.first_parent ? ['--first-parent'] : []),
    ...(wanted.order === 'topo' ? ['--topo-order'] : []),
    ...(wanted.all ? ['--branches', '--tags'] : [String(range)]),
    '--',
    ...(wanted.path === undefined ? [] : [wanted.path]),
  ]);
  const reply = page({ ...call, params: { per_page: size, page: 1 } }, commits.slice(0, size), (commit) =>
    commitView(call.world, project, commit),
  );
  const next = commits.length > size ? String(wanted.page + 1) : '';
  const query = new URLSearchParams(call.query);
  query.set('page', next);
  const address = `${call.world.url}${(call.request.url ?? '').split('?')[0]}?${query}`;
  return {
    ...reply,
    headers: {
      'X-Page': String(wanted.page),
      'X-Per-Page': String(size),
      'X-Next-Page': next,
      'X-Prev-Page': wanted.page > 1 ? String(wanted.page - 1) : '',
      ...(next ? { Link: `<${address}>; rel="next"` } : {}),
    },
  };
}

/** The commit of the path. @throws Refused 404 */
export async function commitOfPath(call: Call, project: Project): Promise<Commit> {
  const repository = repositoryOf(call.world, project);
  const sha = await commitOf(repository, call.path.sha ?? '');
  if (sha === undefined) throw notFound('Commit');
  return readCommit(repository, sha);
}

/** The commit with what GitLab adds when it is asked for alone. */
export async function singleCommitView(world: World, project: Project, commit: Commit, stats: 'stats' | 'plain') {
  const pipeline = headPipeline(world, project, commit.id);
  const status = pipeline === undefined ? null : pipelineStatus(world, pipeline);
  return {
    ...commitView(world, project, commit),
    ...(stats === 'stats' ? { stats: await countLines(repositoryOf(world, project), commit) } : {}),
    status,
    project_id: project.id,
    last_pipeline: pipeline === undefined ? null : pipelineView(world, project, pipeline, status ?? 'pending'),
  };
}

async function countLines(repository: string, commit: Commit) {
  const { stdout } = await git(repository, ['show', '--numstat', '--format=', '--first-parent', commit.id]);
  const rows = stdout.toString().split('\n').filter(Boolean);
  const sum = (column: number) => rows.reduce((so, row) => so + (Number(row.split('\t')[column]) || 0), 0);
  const additions = sum(0);
  const deletions = sum(1);
  return { additions, deletions, total: additions + deletions };
}

/** Reading commits. */
export const commitRoutes: Route[] = [
  route('GET', '/projects/:id/repository/commits', listCommits),

  route('GET', '/projects/:id/repository/commits/:sha', async (call) => {
    const project = projectOf(call);
    const { stats } = take(call, z.object({ stats: flag.default(true) }));
    const commit = await commitOfPath(call, project);
    return ok(await singleCommitView(call.world, project, commit, stats ? 'stats' : 'plain'));
  }),

  route('GET', '/projects/:id/repository/commits/:sha/diff', async (call) => {
    const project = projectOf(call);
    const commit = await commitOfPath(call, project);
    const diffs = await readDiffs(repositoryOf(call.world, project), commit.parent_ids[0], commit.id);
    return page(
      call,
      diffs,
      (diff) => diff,
      (diff) => `${diff.old_path}:${diff.new_path}`,
    );
  }),

  route('GET', '/projects/:id/repository/commits/:sha/refs', async (call) => {
    const project = projectOf(call);
    const commit = await commitOfPath(call, project);
    const { type } = take(call, z.object({ type: z.enum(['branch', 'tag', 'all']).default('all') }));
    const format = '--format=%(refname)';
    const places = ['refs/heads', 'refs/tags'].filter(
      (place) => type === 'all' || place === (type === 'branch' ? 'refs/heads' : 'refs/tags'),
    );
    const out = await gitText(repositoryOf(call.world, project), [
      'for-each-ref',
      '--contains',
      commit.id,
      format,
      ...places,
    ]);
    const refs = out.split('\n').filter(Boolean);
    return page(call, refs, (ref) => ({
      type: ref.startsWith('refs/heads/') ? 'branch' : 'tag',
      name: ref.replace(/^refs\/(heads|tags)\//, ''),
    }));
  }),

  route('GET', '/projects/:id/repository/commits/:sha/merge_requests', async (call) => {
    const project = projectOf(call);
    const commit = await commitOfPath(call, project);
    const found = call.world.store.mergeRequests.filter(
      (each) =>
        each.project_id === project.id && [each.sha, each.merge_commit_sha, each.squash_commit_sha].includes(commit.id),
    );
    return page(call, found, (request) => listedRequestView(call.world, project, request));
  }),
];
