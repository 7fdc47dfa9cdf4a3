import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { registerSecret } from '../../telemetry/secrets.ts';
import { MAINTAINER } from './access.ts';
import { type Call, pathNumber, projectFor, type Route, route, take } from './call.ts';
import { page } from './paging.ts';
import { flag, text } from './params.ts';
import type { Hook, Project } from './records.ts';
import { created, noContent, notFound, ok, refuse } from './reply.ts';
import { hookView } from './views.ts';
import { now, type World } from './world.ts';

export interface NewHook {
  url: string;
  /** Sent back as `X-Gitlab-Token`. */
  token?: string | undefined;
  name?: string | undefined;
  push_events?: boolean | undefined;
  push_events_branch_filter?: string | undefined;
  tag_push_events?: boolean | undefined;
  merge_requests_events?: boolean | undefined;
  note_events?: boolean | undefined;
  enable_ssl_verification?: boolean | undefined;
}

/** Adds a hook; as in GitLab it asks for pushes only unless told more. @throws Refused 422 for an unusable URL */
export function createHook(world: World, project: Project, wanted: NewHook): Hook {
  if (!/^https?:$/.test(URL.parse(wanted.url)?.protocol ?? '')) {
    throw refuse(422, 'Invalid url given');
  }
  registerSecret(wanted.token);
  return world.store.hooks.add({
    project_id: project.id,
    url: wanted.url,
    name: wanted.name ?? null,
    token: wanted.token ?? null,
    uuid: randomUUID(),
    push_events: wanted.push_events ?? true,
    push_events_branch_filter: wanted.push_events_branch_filter ?? '',
    tag_push_events: wanted.tag_push_events ?? false,
    merge_requests_events: wanted.merge_requests_events ?? false,
    note_events: wanted.note_events ?? false,
    enable_ssl_verification: wanted.enable_ssl_verification ?? true,
    created_at: now(),
  });
}

const Changes = z.object({
  url: text.optional(),
  token: text.optional(),
  name: text.optional(),
  push_events: flag.optional(),
  push_events_branch_filter: text.optional(),
  tag_push_events: flag.optional(),
  merge_requests_events: flag.optional(),
  note_events: flag.optional(),
  enable_ssl_verification: flag.optional(),
});

function hookOf(call: Call): Hook {
  const project = projectFor(call, MAINTAINER);
  const hook = call.world.store.hooks.get(pathNumber(call, 'hook_id'));
  if (hook === undefined || hook.project_id !== project.id) throw notFound();
  return hook;
}

/** Web hooks of projects. */
export const hookRoutes: Route[] = [
  route('GET', '/projects/:id/hooks', (call) => {
    const project = projectFor(call, MAINTAINER);
    return page(
      call,
      call.world.store.hooks.filter((hook) => hook.project_id === project.id),
      hookView,
    );
  }),
  route('POST', '/projects/:id/hooks', (call) => {
    const project = projectFor(call, MAINTAINER);
    return created(hookView(createHook(call.world, project, take(call, Changes.required({ url: true })))));
  }),
  route('GET', '/projects/:id/hooks/:hook_id', (call) => ok(hookView(hookOf(call)))),
  route('PUT', '/projects/:id/hooks/:hook_id', (call) => {
    const hook = hookOf(call);
    const given = Object.entries(take(call, Changes)).filter(([, value]) => value !== undefined);
    return ok(hookView(call.world.store.hooks.change(hook, Object.fromEntries(given))));
  }),
  route('DELETE', '/projects/:id/hooks/:hook_id', (call) => {
    call.world.store.hooks.remove(hookOf(call));
    return noContent();
  }),
];
