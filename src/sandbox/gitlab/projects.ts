import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ancestry, levelOf, MAINTAINER, mayRead, OWNER } from './access.ts';
import { type Call, caller, projectFor, projectOf, type Route, route, take } from './call.ts';
import { branchTip, createRepository, gitText } from './git.ts';
import { page } from './paging.ts';
import { flag, integer, text } from './params.ts';
import { type Group, MERGE_METHODS, type Project, SQUASH_OPTIONS, type User } from './records.ts';
import { created, forbidden, notFound, ok, refuse, refuseInput } from './reply.ts';
import { startingCommit } from './starting-commit.ts';
import { groupView, namespaceView, projectView } from './views.ts';
import { now, repositoryOf, type World } from './world.ts';

const Settings = z.object({
  name: text.optional(),
  description: text.optional(),
  visibility: z.enum(['private', 'internal', 'public']).optional(),
  default_branch: text.optional(),
  merge_method: z.enum(MERGE_METHODS).optional(),
  squash_option: z.enum(SQUASH_OPTIONS).optional(),
  only_allow_merge_if_pipeline_succeeds: flag.optional(),
  only_allow_merge_if_all_discussions_are_resolved: flag.optional(),
  allow_merge_on_skipped_pipeline: flag.optional(),
  remove_source_branch_after_merge: flag.optional(),
});
const NewProject = Settings.extend({
  path: text.optional(),
  namespace_id: integer.optional(),
  initialize_with_readme: flag.default(false),
});

const PATH = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;

/** Finds a group by id or full path. */
export function findGroup(world: World, idOrPath: string): Group | undefined {
  if (/^\d+$/.test(idOrPath)) return world.store.groups.get(Number(idOrPath));
  return world.store.groups.find((group) => group.full_path.toLowerCase() === idOrPath.toLowerCase());
}

/** Whether the user may make things in the namespace. */
function mayFill(world: World, user: User, namespace: Group): boolean {
  if (user.is_admin) return true;
  const above = new Set(ancestry(world, namespace.id).map((group) => group.id));
  return (
    world.store.members.find(
      (member) =>
        member.source === 'group' &&
        above.has(member.source_id) &&
        member.user_id === user.id &&
        member.access_level >= 30,
    ) !== undefined
  );
}

/** Makes a project with its empty repository. Its creator owns it. @throws Refused 400 for a path that is taken */
export async function createProject(
  world: World,
  user: User,
  namespace: Group,
  wanted: z.infer<typeof NewProject>,
): Promise<Project> {
  const path = wanted.path ?? wanted.name?.trim().replace(/[^a-zA-Z0-9_.-]+/g, '-') ?? '';
  if (path === '') throw refuseInput(400, 'name, path are missing, at least one parameter must be provided');
  if (!PATH.test(path) || path.endsWith('.git')) {
    throw refuse(400, {
      path: ["can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git'"],
    });
  }
  const full = `${namespace.full_path}/${path}`;
  const taken = world.store.projects.find((each) => each.path_with_namespace.toLowerCase() === full.toLowerCase());
  if (taken !== undefined) {
    throw refuse(400, {
      'project_namespace.name': ['has already been taken'],
      name: ['has already been taken'],
      path: ['has already been taken'],
    });
  }
  const moment = now();
  const project = world.store.projects.add({
    name: wanted.name ?? path,
    path,
    path_with_namespace: full,
    namespace_id: namespace.id,
    description: wanted.description ?? null,
    visibility: wanted.visibility ?? 'private',
    default_branch: null,
    merge_method: wanted.merge_method ?? 'merge',
    squash_option: wanted.squash_option ?? 'default_off',
    only_allow_merge_if_pipeline_succeeds: wanted.only_allow_merge_if_pipeline_succeeds ?? false,
    only_allow_merge_if_all_discussions_are_resolved: wanted.only_allow_merge_if_all_discussions_are_resolved ?? false,
    allow_merge_on_skipped_pipeline: wanted.allow_merge_on_skipped_pipeline ?? false,
    remove_source_branch_after_merge: wanted.remove_source_branch_after_merge ?? true,
    archived: false,
    creator_id: user.id,
    created_at: moment,
    last_activity_at: moment,
  });
  await mkdir(join(world.dir, 'repositories'), { recursive: true });
  await createRepository(repositoryOf(world, project));
  const { id: source_id } = project;
  world.store.members.add({
    source: 'project',
    source_id,
    user_id: user.id,
    access_level: OWNER,
    expires_at: null,
    created_at: moment,
  });
  if (wanted.initialize_with_readme) {
    await startingCommit(world, project, user, wanted.default_branch ?? 'main', { 'README.md': `# ${project.name}\n` });
  }
  return project;
}

/** Makes a group; its creator owns it. @throws Refused 400 for a path that is taken */
export function createGroup(
  world: World,
  user: User,
  wanted: { name: string; path: string; parent?: Group | undefined; visibility?: string | undefined },
): Group {
  const full = wanted.parent === undefined ? wanted.path : `${wanted.parent.full_path}/${wanted.path}`;
  if (!PATH.test(wanted.path))
    throw refuse(400, `Failed to save group {:path=>["can contain only letters, digits, '_', '-' and '.'."]}`);
  if (findGroup(world, full) !== undefined)
    throw refuse(400, 'Failed to save group {:path=>["has already been taken"]}');
  const group = world.store.groups.add({
    name: wanted.name,
    path: wanted.path,
    full_path: full,
    parent_id: wanted.parent?.id ?? null,
    visibility: wanted.visibility ?? 'private',
    kind: 'group',
    created_at: now(),
  });
  world.store.members.add({
    source: 'group',
    source_id: group.id,
    user_id: user.id,
    access_level: OWNER,
    expires_at: null,
    created_at: now(),
  });
  return group;
}

/** The namespace a user's own projects live in. */
export function ownNamespace(world: World, user: User): Group {
  const known = world.store.groups.find((group) => group.kind === 'user' && group.path === user.username);
  if (known !== undefined) return known;
  return world.store.groups.add({
    name: user.name,
    path: user.username,
    full_path: user.username,
    parent_id: null,
    visibility: 'public',
    kind: 'user',
    created_at: now(),
  });
}

function groupOf(call: Call): Group {
  const group = findGroup(call.world, call.path.id ?? '');
  if (group === undefined || group.kind !== 'group' || !maySee(call, group)) throw notFound('Group');
  return group;
}

function maySee(call: Call, group: Group): boolean {
  const user = call.identity?.user;
  if (group.visibility === 'public' || user?.is_admin) return true;
  const about = new Set(ancestry(call.world, group.id).map((each) => each.id));
  return (
    call.world.store.members.find(
      (member) => member.user_id === user?.id && member.source === 'group' && about.has(member.source_id),
    ) !== undefined
  );
}

const visibleProjects = (call: Call) =>
  call.world.store.projects.filter((project) => mayRead(call.world, call.identity?.user, project));

async function changeSettings(call: Call) {
  const { world } = call;
  const project = projectFor(call, MAINTAINER);
  const { default_branch: branch, ...wanted } = take(call, Settings);
  if (branch !== undefined && branch !== project.default_branch) {
    const repository = repositoryOf(world, project);
    if ((await branchTip(repository, branch)) === undefined) {
      throw refuse(400, {
        base: [`Could not set the default branch. Do you have a branch named '${branch}' in your repository?`],
      });
    }
    await gitText(repository, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    world.store.projects.change(project, { default_branch: branch });
  }
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  world.store.projects.change(project, given);
  return ok(projectView(world, project, caller(call)));
}

/** Groups, namespaces and projects. */
export const projectRoutes: Route[] = [
  route('POST', '/groups', (call) => {
    const user = caller(call);
    const wanted = take(
      call,
      z.object({ name: text, path: text, parent_id: integer.optional(), visibility: z.string().optional() }),
    );
    const parent = wanted.parent_id === undefined ? undefined : call.world.store.groups.get(wanted.parent_id);
    if (wanted.parent_id !== undefined && (parent === undefined || !mayFill(call.world, user, parent)))
      throw notFound('Group');
    return created(groupView(call.world, createGroup(call.world, user, { ...wanted, parent })));
  }),

  route('GET', '/groups', (call) =>
    page(
      call,
      call.world.store.groups.filter((group) => group.kind === 'group' && maySee(call, group)),
      (group) => groupView(call.world, group),
      (group) => String(group.id),
    ),
  ),

  route('GET', '/groups/:id', (call) => ok(groupView(call.world, groupOf(call)))),

  route('GET', '/groups/:id/projects', (call) => {
    const group = groupOf(call);
    const mine = visibleProjects(call).filter((project) => project.namespace_id === group.id);
    return page(call, mine, (project) => projectView(call.world, project, call.identity?.user));
  }),

  route('GET', '/namespaces', (call) => {
    const user = caller(call);
    const mine = call.world.store.groups.filter((group) => mayFill(call.world, user, group));
    return page(call, mine, (group) => namespaceView(call.world, group));
  }),

  route('GET', '/namespaces/:id', (call) => {
    caller(call);
    const group = findGroup(call.world, call.path.id ?? '');
    if (group === undefined) throw notFound('Namespace');
    return ok(namespaceView(call.world, group));
  }),

  route('POST', '/projects', async (call) => {
    const user = caller(call);
    const wanted = take(call, NewProject);
    const namespace =
      wanted.namespace_id === undefined
        ? ownNamespace(call.world, user)
        : call.world.store.groups.get(wanted.namespace_id);
    if (namespace === undefined || !mayFill(call.world, user, namespace)) {
      if (namespace?.path !== user.username) throw refuse(400, { namespace: ['is not valid'] });
    }
    return created(projectView(call.world, await createProject(call.world, user, namespace as Group, wanted), user));
  }),

  route('GET', '/projects', (call) => {
    const wanted = take(
      call,
      z.object({
        search: text.optional(),
        membership: flag.default(false),
        sort: z.enum(['asc', 'desc']).default('desc'),
      }),
    );
    const found = visibleProjects(call).filter(
      (project) =>
        (wanted.search === undefined || project.path_with_namespace.includes(wanted.search)) &&
        (!wanted.membership || levelOf(call.world, call.identity?.user, project) > 0),
    );
    if (wanted.sort === 'desc') found.reverse();
    return page(
      call,
      found,
      (each) => projectView(call.world, each, call.identity?.user),
      (each) => String(each.id),
    );
  }),

  route('GET', '/projects/:id', (call) => ok(projectView(call.world, projectOf(call), call.identity?.user))),

  route('PUT', '/projects/:id', changeSettings),

  route('POST', '/projects/:id/archive', (call) => {
    const project = projectFor(call, OWNER);
    call.world.store.projects.change(project, { archived: true });
    return created(projectView(call.world, project, caller(call)));
  }),

  route('DELETE', '/projects/:id', (call) => {
    const project = projectOf(call);
    if (levelOf(call.world, caller(call), project) < OWNER) throw forbidden();
    call.world.store.projects.remove(project);
    return { status: 202, body: { message: '202 Accepted' } };
  }),
];
