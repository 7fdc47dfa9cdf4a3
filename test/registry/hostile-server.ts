import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

/** One request of whoever reads; what the body of it holds is not looked at. */
export interface Asked {
  method: string;
  path: string;
  /** Of the server, `127.0.0.1:port`. */
  host: string;
  socket: Socket;
}

export interface HostileServer {
  host: string;
  close(): Promise<void>;
}

/** A server that does with each connection what it is told, byte by byte: no HTTP library tidies up after it. */
export async function startHostileServer(
  serve: (asked: Asked) => void,
  { tls, onConnect }: { tls?: { key: string; cert: string }; onConnect?: (socket: Socket) => void } = {},
): Promise<HostileServer> {
  const sockets = new Set<Socket>();
  let host = '';
  const connected = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    if (onConnect !== undefined) return onConnect(socket);
    let head = '';
    const read = (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', read);
      socket.pause();
      const [method = '', path = ''] = head.split(' ');
      serve({ method, path, host, socket });
    };
    socket.on('data', read);
  };
  const server: Server = tls === undefined ? createTcpServer(connected) : createTlsServer(tls, connected);
  if (tls !== undefined) server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A whole answer; the connection ends with it. */
export function answer(
  socket: Socket,
  status: number,
  headers: Record<string, string | number>,
  body: Buffer | string = '',
) {
  const lines = Object.entries({ 'content-length': Buffer.byteLength(body), ...headers, connection: 'close' });
  socket.write(`HTTP/1.1 ${status} Said\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  socket.end(body);
}

/** The same bytes again and again, as fast as they are taken, or one piece every so many milliseconds. */
export async function pour(socket: Socket, start: string, piece: Buffer | string, every?: number): Promise<void> {
  socket.write(start);
  // Sockets that were paused do not see that the other end is gone.
  socket.resume();
  while (!socket.destroyed && socket.writable) {
    if (every !== undefined) await new Promise((resolve) => setTimeout(resolve, every));
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
  }
}
