import { z } from 'zod';
import { DEVELOPER, levelOf, MAINTAINER, mayPush, protectionsOf } from './access.ts';
import { type Call, caller, projectFor, projectOf, type Route, route, take } from './call.ts';
import type { RefMove } from './events.ts';
import { branchTip, commitOf, GitRefused, git, gitText, NO_COMMIT } from './git.ts';
import { readCommit } from './history.ts';
import { page } from './paging.ts';
import { text } from './params.ts';
import { isUnknownYet, visibleRefs, visibleTip } from './pending-pushes.ts';
import { moveAndTell } from './push-queue.ts';
import type { Project, User } from './records.ts';
import { refusal } from './refusals.ts';
import { created, forbidden, noContent, notFound, ok, refuse } from './reply.ts';
import { commitView, webUrl } from './views.ts';
import { repositoryOf, type World } from './world.ts';

async function branchView(call: Call, project: Project, name: string, tip: string) {
  const { world } = call;
  const rules = protectionsOf(world, project, name);
  const user = call.identity?.user;
  return {
    name,
    commit: commitView(world, project, await readCommit(repositoryOf(world, project), tip)),
    merged: false,
    protected: rules.length > 0,
    developers_can_push: rules.some((rule) => rule.push_level === DEVELOPER),
    developers_can_merge: rules.some((rule) => rule.merge_level === DEVELOPER),
    can_push: user !== undefined && mayPush(world, user, project, name),
    default: project.default_branch === name,
    web_url: `${webUrl(world, project)}/-/tree/${name}`,
  };
}

/** All refs below a prefix, by name. */
export async function refsBelow(repository: string, prefix: string): Promise<{ name: string; sha: string }[]> {
  const out = await gitText(repository, ['for-each-ref', '--format=%(objectname) %(refname)', prefix]);
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ sha: line.slice(0, 40), name: line.slice(41 + prefix.length) }));
}

async function listBranches(call: Call) {
  const project = projectOf(call);
  const { search, regex } = take(call, z.object({ search: text.optional(), regex: text.optional() }));
  const inGit = await refsBelow(repositoryOf(call.world, project), 'refs/heads/');
  const found = visibleRefs(call.world, project, inGit).filter(
    ({ name }) =>
      (search === undefined || searched(name, search)) && (regex === undefined || new RegExp(regex).test(name)),
  );
  const reply = page(
    call,
    found,
    (branch) => branch,
    ({ name }) => name,
  );
  const views = [];
  for (const { name, sha } of reply.body as typeof found) views.push(await branchView(call, project, name, sha));
  return { ...reply, body: views };
}

/** `^` at the beginning and `$` at the end anchor the search. */
function searched(name: string, search: string): boolean {
  const term = search.replace(/^\^/, '').replace(/\$$/, '');
  if (search.startsWith('^')) return name.startsWith(term);
  return search.endsWith('$') ? name.endsWith(term) : name.includes(term);
}

async function createBranch(call: Call) {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const user = caller(call);
  const { branch, ref } = take(call, z.object({ branch: text, ref: text }));
  const repository = repositoryOf(world, project);
  if ((await git(repository, ['check-ref-format', '--branch', branch])).code !== 0) {
    throw refuse(400, 'Branch name is invalid');
  }
  if (!mayPush(world, user, project, branch)) throw forbidden();
  if ((await branchTip(repository, branch)) !== undefined) throw refuse(400, 'Branch already exists');
  const start = await commitOf(repository, ref);
  if (start === undefined) throw refuse(400, `Invalid reference name: ${ref}`);
  const move = { ref: `refs/heads/${branch}`, from: NO_COMMIT, to: start };
  await moveOrRefuse(world, project, user, move, `Failed to create branch '${branch}'`);
  return created(await branchView(call, project, branch, start));
}

/** Moves one ref as a push would. @throws Refused 400 with the text when it was moved meanwhile */
export async function moveOrRefuse(
  world: World,
  project: Project,
  user: User,
  move: RefMove,
  text: string,
): Promise<void> {
  try {
    await world.alone(project, () => moveAndTell(world, project, user, [move]));
  } catch (thrown) {
    if (thrown instanceof GitRefused) throw refuse(400, text);
    throw thrown;
  }
}

async function deleteBranch(call: Call) {
  const { world } = call;
  const project = projectOf(call);
  const user = caller(call);
  const branch = call.path.branch ?? '';
  const level = levelOf(world, user, project);
  if (level < DEVELOPER) throw refusal(world, 'delete-no-right');
  const tip = await visibleTip(world, project, branch);
  if (tip === undefined) {
    throw refusal(world, isUnknownYet(world, project, branch) ? 'delete-not-processed' : 'delete-unknown');
  }
  if (branch === project.default_branch) throw refusal(world, 'delete-default');
  // Unlike git, REST lets maintainers delete protected branches.
  if (protectionsOf(world, project, branch).length > 0 && level < MAINTAINER) throw refusal(world, 'delete-protected');
  const declined = world.faults.pushRefusal(project);
  if (declined !== undefined) throw refusal(world, 'delete-hook', { said: declined });
  const move = { ref: `refs/heads/${branch}`, from: tip, to: NO_COMMIT };
  await moveOrRefuse(world, project, user, move, 'Failed to remove branch');
  return noContent();
}

/** Branches. */
export const branchRoutes: Route[] = [
  route('GET', '/projects/:id/repository/branches', listBranches),
  route('POST', '/projects/:id/repository/branches', createBranch),
  route('GET', '/projects/:id/repository/branches/:branch', async (call) => {
    const project = projectOf(call);
    const tip = await visibleTip(call.world, project, call.path.branch ?? '');
    if (tip === undefined) throw notFound('Branch');
    return ok(await branchView(call, project, call.path.branch ?? '', tip));
  }),
  route('DELETE', '/projects/:id/repository/branches/:branch', deleteBranch),
];
