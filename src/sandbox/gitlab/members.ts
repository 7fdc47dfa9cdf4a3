import { z } from 'zod';
import { MAINTAINER, membersOf, OWNER } from './access.ts';
import { type Call, caller, pathNumber, projectFor, projectOf, type Route, route, take } from './call.ts';
import { page } from './paging.ts';
import { integer, text } from './params.ts';
import { findGroup } from './projects.ts';
import type { Group, Member } from './records.ts';
import { created, forbidden, noContent, notFound, ok, refuse } from './reply.ts';
import { memberView } from './views.ts';
import { now, type World } from './world.ts';

const NewMember = z.object({
  user_id: integer.optional(),
  username: text.optional(),
  access_level: integer,
  expires_at: text.optional(),
});

/** Makes a user a member, or changes the level of one who is. */
export function setMember(
  world: World,
  where: Pick<Member, 'source' | 'source_id'>,
  userId: number,
  level: number,
): Member {
  const known = findMember(world, where, userId);
  if (known !== undefined) return world.store.members.change(known, { access_level: level });
  return world.store.members.add({
    ...where,
    user_id: userId,
    access_level: level,
    expires_at: null,
    created_at: now(),
  });
}

const findMember = (world: World, where: Pick<Member, 'source' | 'source_id'>, userId: number) =>
  world.store.members.find(
    (each) => each.source === where.source && each.source_id === where.source_id && each.user_id === userId,
  );

type Where = Pick<Member, 'source' | 'source_id'>;

/** Where the path's members are, for a caller who may change them. */
function managed(call: Call, source: 'project' | 'group'): Where {
  if (source === 'project') return { source, source_id: projectFor(call, MAINTAINER).id };
  const group = groupOf(call);
  const user = caller(call);
  const mine = findMember(call.world, { source, source_id: group.id }, user.id);
  if (!user.is_admin && (mine?.access_level ?? 0) < OWNER) throw forbidden();
  return { source, source_id: group.id };
}

function groupOf(call: Call): Group {
  const group = findGroup(call.world, call.path.id ?? '');
  if (group === undefined) throw notFound('Group');
  return group;
}

function add(call: Call, source: 'project' | 'group') {
  const where = managed(call, source);
  const wanted = take(call, NewMember);
  const user = call.world.store.users.find(
    (each) => each.id === wanted.user_id || (wanted.username !== undefined && each.username === wanted.username),
  );
  if (user === undefined) throw notFound('User');
  if (findMember(call.world, where, user.id) !== undefined) throw refuse(409, 'Member already exists');
  const member = setMember(call.world, where, user.id, wanted.access_level);
  return created(memberView(call.world, member));
}

function change(call: Call, source: 'project' | 'group') {
  const where = managed(call, source);
  const { access_level } = take(call, z.object({ access_level: integer }));
  const member = findMember(call.world, where, pathNumber(call, 'user_id'));
  if (member === undefined) throw notFound();
  return ok(memberView(call.world, call.world.store.members.change(member, { access_level })));
}

function remove(call: Call, source: 'project' | 'group') {
  const member = findMember(call.world, managed(call, source), pathNumber(call, 'user_id'));
  if (member === undefined) throw notFound();
  call.world.store.members.remove(member);
  return noContent();
}

/** Own and inherited members, each user once with the highest level. */
function allMembers(call: Call): Member[] {
  const byUser = Map.groupBy(membersOf(call.world, projectOf(call)), (member) => member.user_id);
  return [...byUser.values()].flatMap((members) => members.sort((a, b) => b.access_level - a.access_level).slice(0, 1));
}

/** Who may do what where. */
export const memberRoutes: Route[] = [
  route('GET', '/projects/:id/members', (call) => {
    const project = projectOf(call);
    const mine = call.world.store.members.filter((each) => each.source === 'project' && each.source_id === project.id);
    return page(call, mine, (member) => memberView(call.world, member));
  }),
  route('GET', '/projects/:id/members/all', (call) =>
    page(call, allMembers(call), (member) => memberView(call.world, member)),
  ),
  route('GET', '/projects/:id/members/all/:user_id', (call) => {
    const id = pathNumber(call, 'user_id');
    const member = allMembers(call).find((each) => each.user_id === id);
    if (member === undefined) throw notFound();
    return ok(memberView(call.world, member));
  }),
  route('GET', '/projects/:id/members/:user_id', (call) => {
    const project = projectOf(call);
    const member = findMember(call.world, { source: 'project', source_id: project.id }, pathNumber(call, 'user_id'));
    if (member === undefined) throw notFound();
    return ok(memberView(call.world, member));
  }),
  route('POST', '/projects/:id/members', (call) => add(call, 'project')),
  route('PUT', '/projects/:id/members/:user_id', (call) => change(call, 'project')),
  route('DELETE', '/projects/:id/members/:user_id', (call) => remove(call, 'project')),
  route('POST', '/groups/:id/members', (call) => add(call, 'group')),
  route('PUT', '/groups/:id/members/:user_id', (call) => change(call, 'group')),
  route('DELETE', '/groups/:id/members/:user_id', (call) => remove(call, 'group')),
];
