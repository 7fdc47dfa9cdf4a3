import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { certificates } from '../../kubernetes/certificates.ts';
import type { PodLogs } from '../../kubernetes/logs.ts';

export interface LogServer {
  port: number;
  close(): Promise<void>;
}

/**
 * Serves `/containerLogs/NAMESPACE/POD/CONTAINER` on loopback, which the API server asks for `pods/log`. It takes any
 * certificate, and here anybody may read.
 *
 * @param uidOf uid of the pod of that name, undefined when there is none
 * @param port 0: any free port
 * @throws Failure `process_failed` when openssl cannot make the certificate
 */
export async function startLogServer(options: {
  dir: string;
  port: number;
  logs: PodLogs;
  uidOf: (namespace: string, name: string) => string | undefined;
}): Promise<LogServer> {
  const { dir, port, logs, uidOf } = options;
  const { certificate, key } = await certificates(dir);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://node');
    const [, root, namespace = '', pod = '', container = ''] = pathname.split('/').map(decodeURIComponent);
    const uid = root === 'containerLogs' ? uidOf(namespace, pod) : undefined;
    const number = (name: string) => (searchParams.has(name) ? Number(searchParams.get(name)) : undefined);
    const query = { tailLines: number('tailLines'), limitBytes: number('limitBytes') };
    const content = uid === undefined ? undefined : logs.read(uid, container, query);
    if (uid === undefined || content === undefined) {
      const said = `container "${container}" in pod "${pod}" is waiting to start: PodInitializing`;
      response.writeHead(uid === undefined ? 404 : 400).end(uid === undefined ? 'not found' : said);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain' });
    if (searchParams.get('follow') !== 'true') {
      response.end(content);
      return;
    }
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    response.flushHeaders();
    for await (const chunk of logs.follow(uid, container, gone.signal)) response.write(chunk);
    response.end();
  };

  const server = createServer({ cert: certificate, key }, (request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
