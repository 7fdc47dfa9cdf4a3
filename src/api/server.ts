import { once } from 'node:events';
import { type AppOptions, createApp } from './app.ts';
import { createTransport } from './transport.ts';

export interface ApiServer {
  url: string;
  /** Lets requests that are being answered end, then closes. */
  close(): Promise<void>;
}

type Fetch = ReturnType<typeof createApp>['fetch'];

/**
 * Milliseconds an idle connection stays open: longer than clients and proxies keep theirs (60 s mostly), else their
 * next request may meet its end.
 */
const IDLE = 75_000;

/**
 * Serves the API on the configured host and port; port 0 takes a free one, `url` tells which.
 *
 * @param around put around the app, e.g. to watch its answers
 */
export async function serveApi(options: AppOptions, around = (app: Fetch): Fetch => app): Promise<ApiServer> {
  const { host, port } = options.config.api;
  const ending = new AbortController();
  const app = createApp({ ...options, closing: ending.signal });
  const server = createTransport(around(app.fetch), { host, userHeader: options.config.api.userHeader });
  server.keepAliveTimeout = IDLE;
  let closing = false;
  // Node leaves a kept-alive connection open that becomes idle after close(); clients would hold us up for seconds.
  server.on('request', (_request, response) => {
    response.once('close', () => setImmediate(() => closing && server.closeIdleConnections()));
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const bound = address === null || typeof address === 'string' ? port : address.port;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      closing = true;
      ending.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      await closed;
    },
  };
}
