import { createServer } from 'node:net';

/**
 * Below 32768, from where Linux takes the ports of outgoing connections: nobody is given a port of ours while its owner
 * is away for a moment.
 */
const RANGE = { first: 10_000, size: 22_000 };

/** Where to look next; processes that start together begin in different places. */
let next = (process.pid * 61) % RANGE.size;

/** TCP ports of 127.0.0.1 that nobody listens on now, all different, and none that this process was given before. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let looks = 0; found.length < count; looks += 1) {
    if (looks === RANGE.size) throw new Error(`${count} free ports were not found on 127.0.0.1`);
    const port = RANGE.first + next;
    next = (next + 1) % RANGE.size;
    if (await isFree(port)) found.push(port);
  }
  return found;
}

/** One such port. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer().once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
