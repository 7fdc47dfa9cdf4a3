import { randomUUID } from 'node:crypto';
import { wildcard } from './access.ts';
import type { Hook, Project } from './records.ts';
import { VERSIONS } from './release.ts';
import type { World } from './world.ts';

export type HookEvent = 'Push Hook' | 'Tag Push Hook' | 'Merge Request Hook' | 'Note Hook';

const SUBSCRIPTION = {
  'Push Hook': 'push_events',
  'Tag Push Hook': 'tag_push_events',
  'Merge Request Hook': 'merge_requests_events',
  'Note Hook': 'note_events',
} as const;

/** Milliseconds a receiver has for its answer. */
const PATIENCE = 10_000;

/**
 * Sends an event to the project's hooks that asked for it: later, once, without waiting for the answer and without a
 * second try (konflux-and-gitlab.md §4.5).
 */
export function sendHooks(world: World, project: Project, event: HookEvent, body: Record<string, unknown>): void {
  const eventId = randomUUID();
  // The body is what was true when the event happened, whatever the records say when it is sent.
  const payload = JSON.stringify(body);
  for (const hook of world.store.hooks.filter((each) => wants(each, project, event, body))) {
    const fault = world.faults.hook(project, event);
    if (fault === 'drop') continue;
    for (let copies = fault === 'repeat' ? 2 : 1; copies > 0; copies -= 1)
      deliver(world, hook, event, eventId, payload);
  }
}

function wants(hook: Hook, project: Project, event: HookEvent, body: Record<string, unknown>): boolean {
  if (hook.project_id !== project.id || !hook[SUBSCRIPTION[event]]) return false;
  if (event !== 'Push Hook' || hook.push_events_branch_filter === '') return true;
  return wildcard(hook.push_events_branch_filter).test(String(body.ref).replace('refs/heads/', ''));
}

function deliver(world: World, hook: Hook, event: HookEvent, eventId: string, payload: string): void {
  world.background.start(`hook ${hook.id}`, async (signal) => {
    const response = await fetch(hook.url, {
      method: 'POST',
      body: payload,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
      headers: {
        'Content-Type': 'application/json',
        'User-Agent': `GitLab/${VERSIONS[world.release]}`,
        'X-Gitlab-Event': event,
        'X-Gitlab-Event-UUID': eventId,
        'X-Gitlab-Webhook-UUID': hook.uuid,
        'X-Gitlab-Instance': world.url,
        'Idempotency-Key': randomUUID(),
        ...(hook.token === null ? {} : { 'X-Gitlab-Token': hook.token }),
      },
    });
    await response.arrayBuffer();
    world.log?.debug({ hook: hook.id, event, status: response.status }, 'hook sent');
  });
}
