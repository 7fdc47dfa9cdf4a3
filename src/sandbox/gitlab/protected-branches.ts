import { z } from 'zod';
import { MAINTAINER } from './access.ts';
import { type Call, projectFor, type Route, route, take } from './call.ts';
import { page } from './paging.ts';
import { flag, integer, text } from './params.ts';
import type { Project, ProtectedBranch } from './records.ts';
import { created, noContent, notFound, ok, refuse } from './reply.ts';
import type { World } from './world.ts';

const LEVELS: Record<number, string> = { 0: 'No one', 30: 'Developers + Maintainers', 40: 'Maintainers' };

function protectionView(rule: ProtectedBranch) {
  const levels = (level: number) => [
    {
      id: rule.id,
      access_level: level,
      access_level_description: LEVELS[level] ?? 'Maintainers',
      user_id: null,
      group_id: null,
    },
  ];
  return {
    id: rule.id,
    name: rule.name,
    push_access_levels: levels(rule.push_level),
    merge_access_levels: levels(rule.merge_level),
    unprotect_access_levels: [],
    allow_force_push: rule.allow_force_push,
    code_owner_approval_required: false,
    inherited: false,
  };
}

/** Protects a branch or a pattern. @throws Refused 409 when it is protected already */
export function protectBranch(
  world: World,
  project: Project,
  rule: {
    name: string;
    push_level?: number | undefined;
    merge_level?: number | undefined;
    allow_force_push?: boolean | undefined;
  },
): ProtectedBranch {
  const known = world.store.protectedBranches.find((each) => each.project_id === project.id && each.name === rule.name);
  if (known !== undefined) throw refuse(409, `Protected branch '${rule.name}' already exists`);
  return world.store.protectedBranches.add({
    project_id: project.id,
    name: rule.name,
    push_level: rule.push_level ?? 40,
    merge_level: rule.merge_level ?? 40,
    allow_force_push: rule.allow_force_push ?? false,
  });
}

function protectionOf(call: Call, project: Project): ProtectedBranch {
  const rule = call.world.store.protectedBranches.find(
    (each) => each.project_id === project.id && each.name === call.path.name,
  );
  if (rule === undefined) throw notFound();
  return rule;
}

/** Who may push to and merge into which branches. */
export const protectedBranchRoutes: Route[] = [
  route('GET', '/projects/:id/protected_branches', (call) => {
    const project = projectFor(call, MAINTAINER);
    const rules = call.world.store.protectedBranches.filter((rule) => rule.project_id === project.id);
    return page(call, rules, protectionView);
  }),
  route('POST', '/projects/:id/protected_branches', (call) => {
    const project = projectFor(call, MAINTAINER);
    const wanted = take(
      call,
      z.object({
        name: text,
        push_access_level: integer.optional(),
        merge_access_level: integer.optional(),
        allow_force_push: flag.optional(),
      }),
    );
    const { push_access_level: push_level, merge_access_level: merge_level } = wanted;
    return created(protectionView(protectBranch(call.world, project, { ...wanted, push_level, merge_level })));
  }),
  route('GET', '/projects/:id/protected_branches/:name', (call) =>
    ok(protectionView(protectionOf(call, projectFor(call, MAINTAINER)))),
  ),
  route('PATCH', '/projects/:id/protected_branches/:name', (call) => {
    const rule = protectionOf(call, projectFor(call, MAINTAINER));
    const { allow_force_push } = take(call, z.object({ allow_force_push: flag.optional() }));
    call.world.store.protectedBranches.change(rule, { allow_force_push: allow_force_push ?? rule.allow_force_push });
    return ok(protectionView(rule));
  }),
  route('DELETE', '/projects/:id/protected_branches/:name', (call) => {
    call.world.store.protectedBranches.remove(protectionOf(call, projectFor(call, MAINTAINER)));
    return noContent();
  }),
];
