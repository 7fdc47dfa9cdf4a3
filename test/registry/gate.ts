import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Gate {
  host: string;
  /** What went through, `METHOD /path`. */
  calls: string[];
  /** Looks at each call first; one that answers it itself says so. */
  guard: (incoming: IncomingMessage, response: ServerResponse) => 'answered' | 'pass';
  close(): Promise<void>;
}

/**
 * A way to a registry where calls are counted and troubles are made; without trouble, bytes pass as they are.
 *
 * @param at port to listen on; a free one unless given
 */
export async function startGate(registry: string, at = 0): Promise<Gate> {
  const gate: Gate = { host: '', calls: [], guard: () => 'pass', close: async () => {} };
  const [hostname, port] = registry.split(':');
  const server = createServer((incoming, response) => {
    gate.calls.push(`${incoming.method} ${incoming.url?.split('?')[0]}`);
    if (gate.guard(incoming, response) === 'answered') return;
    const { method, url, headers } = incoming;
    const onward = request({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  gate.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  gate.close = () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections());
  return gate;
}

/** A registry that knows nothing of mounting blobs, and opens an upload when asked to. */
export const withoutMounting: Gate['guard'] = (incoming) => {
  incoming.url = incoming.url?.replace(/\?mount=.*/, '');
  return 'pass';
};
