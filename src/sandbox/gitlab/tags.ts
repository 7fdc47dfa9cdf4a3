import { z } from 'zod';
import { DEVELOPER } from './access.ts';
import { moveOrRefuse, refsBelow } from './branches.ts';
import { type Call, caller, projectFor, projectOf, type Route, route, take } from './call.ts';
import { commitOf, git, gitText, NO_COMMIT } from './git.ts';
import { readCommit } from './history.ts';
import { page } from './paging.ts';
import { text } from './params.ts';
import type { Project } from './records.ts';
import { refsMoved } from './refs.ts';
import { created, noContent, notFound, ok, refuse } from './reply.ts';
import { commitView } from './views.ts';
import { repositoryOf } from './world.ts';

async function tagView(call: Call, project: Project, name: string) {
  const repository = repositoryOf(call.world, project);
  const target = await gitText(repository, ['rev-parse', `refs/tags/${name}`]);
  const commit = await readCommit(repository, `refs/tags/${name}`);
  const annotated = target !== commit.id;
  return {
    name,
    message: annotated ? await gitText(repository, ['for-each-ref', '--format=%(contents)', `refs/tags/${name}`]) : '',
    target,
    commit: commitView(call.world, project, commit),
    release: null,
    protected: false,
    created_at: null,
  };
}

async function createTag(call: Call) {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const user = caller(call);
  const {
    tag_name: name,
    ref,
    message,
  } = take(call, z.object({ tag_name: text, ref: text, message: text.optional() }));
  const repository = repositoryOf(world, project);
  const commit = await commitOf(repository, ref);
  if (commit === undefined) throw refuse(400, `Target ${ref} is invalid`);
  if ((await commitOf(repository, `refs/tags/${name}`)) !== undefined) throw refuse(400, `Tag ${name} already exists`);
  const args =
    message === undefined || message === '' ? ['tag', name, commit] : ['tag', '-a', '-m', message, name, commit];
  const env = { GIT_COMMITTER_NAME: user.name, GIT_COMMITTER_EMAIL: user.email };
  const { code } = await git(repository, args, { env });
  if (code !== 0) throw refuse(400, 'Tag name invalid');
  const to = await gitText(repository, ['rev-parse', `refs/tags/${name}`]);
  await refsMoved(world, project, user, [{ ref: `refs/tags/${name}`, from: NO_COMMIT, to }]);
  return created(await tagView(call, project, name));
}

async function deleteTag(call: Call) {
  const project = projectFor(call, DEVELOPER);
  const repository = repositoryOf(call.world, project);
  const name = call.path.tag ?? '';
  if ((await commitOf(repository, `refs/tags/${name}`)) === undefined) throw notFound('Tag');
  const from = await gitText(repository, ['rev-parse', `refs/tags/${name}`]);
  const move = { ref: `refs/tags/${name}`, from, to: NO_COMMIT };
  await moveOrRefuse(call.world, project, caller(call), move, 'Failed to remove tag');
  return noContent();
}

/** Tags. */
export const tagRoutes: Route[] = [
  route('GET', '/projects/:id/repository/tags', async (call) => {
    const project = projectOf(call);
    const found = (await refsBelow(repositoryOf(call.world, project), 'refs/tags/')).reverse();
    const reply = page(
      call,
      found,
      (tag) => tag,
      ({ name }) => name,
    );
    const views = [];
    for (const { name } of reply.body as typeof found) views.push(await tagView(call, project, name));
    return { ...reply, body: views };
  }),
  route('POST', '/projects/:id/repository/tags', createTag),
  route('GET', '/projects/:id/repository/tags/:tag', async (call) => {
    const project = projectOf(call);
    const name = call.path.tag ?? '';
    if ((await commitOf(repositoryOf(call.world, project), `refs/tags/${name}`)) === undefined) throw notFound('Tag');
    return ok(await tagView(call, project, name));
  }),
  route('DELETE', '/projects/:id/repository/tags/:tag', deleteTag),
];
