import { type Child, startHere } from './child.ts';
import type { News, Order } from './launcher.ts';

/** The program of the process that starts children for a heavy one; it ends with that one, and all children with it. */

const running = new Map<number, Child>();

process.on('message', (order: Order) => {
  if ('kill' in order) return running.get(order.id)?.kill();
  const { id, command } = order;
  const child = startHere(command);
  running.set(id, child);
  return void child.ended.then((ended) => {
    running.delete(id);
    process.send?.({ id, ended } satisfies News, () => {});
  });
});

process.on('disconnect', () => {
  for (const child of running.values()) child.kill();
  process.exit();
});
