import { setTimeout as sleep } from 'node:timers/promises';
import type { RefMove } from './events.ts';
import { moveRefs } from './git.ts';
import { pendingOf } from './pending-pushes.ts';
import type { PendingPush, Project, User } from './records.ts';
import { refsMoved } from './refs.ts';
import { repositoryOf, type World } from './world.ts';

/**
 * Pushes of a project are processed in their order; those that were not when the server was stopped are at its next
 * start, as jobs in a queue are.
 */

/** How long processing takes: milliseconds, spread evenly, the same for the same seed. */
export interface PushDelay {
  from: number;
  to: number;
  seed: number;
}

/** Takes note of a push that git has carried out. Call it inside `world.alone`. */
export async function acceptPush(world: World, project: Project, user: User, moves: RefMove[]): Promise<void> {
  const waiting = pendingOf(world, project);
  const delay = world.pushDelay();
  if (delay === 0 && waiting.length === 0) return refsMoved(world, project, user, moves);
  const due = Math.max(Date.now() + delay, ...waiting.map((push) => push.due));
  schedule(world, world.store.pendingPushes.add({ project_id: project.id, user_id: user.id, moves, due }));
}

/** Goes on with what was pushed before the server was stopped. */
export function resumePushes(world: World): void {
  for (const push of world.store.pendingPushes.all()) schedule(world, push);
}

/** Processes at once what waits for these refs: somebody changes them by REST. Call it inside `world.alone`. */
export async function processNow(world: World, project: Project, refs: readonly string[]): Promise<void> {
  const waiting = pendingOf(world, project);
  const last = waiting.findLastIndex((push) => push.moves.some(({ ref }) => refs.includes(ref)));
  for (const push of waiting.slice(0, last + 1)) await process(world, push);
}

function schedule(world: World, push: PendingPush): void {
  world.background.start(`push ${push.id}`, async (signal) => {
    await sleep(Math.max(0, push.due - Date.now()), undefined, { signal });
    const project = world.store.projects.get(push.project_id);
    if (project === undefined) return world.store.pendingPushes.remove(push);
    await world.alone(project, async () => {
      // Those before it in the queue may be due at the same moment.
      for (const each of pendingOf(world, project).filter(({ id }) => id <= push.id)) await process(world, each);
    });
  });
}

async function process(world: World, push: PendingPush): Promise<void> {
  const project = world.store.projects.get(push.project_id);
  const user = world.store.users.get(push.user_id);
  world.store.pendingPushes.remove(push);
  if (project !== undefined && user !== undefined) await refsMoved(world, project, user, push.moves);
}

/**
 * Moves refs by REST and does everything that follows; call it inside `world.alone`.
 *
 * @throws GitRefused when one of them is not at its old value any more; then none has moved
 */
export async function moveAndTell(world: World, project: Project, user: User, moves: RefMove[]): Promise<void> {
  await processNow(
    world,
    project,
    moves.map(({ ref }) => ref),
  );
  await moveRefs(repositoryOf(world, project), moves);
  await refsMoved(world, project, user, moves);
}
