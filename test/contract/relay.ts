import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A hook as it was sent on to Pipelines-as-Code, and what it answered. */
export interface Delivery {
  event: string;
  answer: string;
}

/** A call Pipelines-as-Code made to GitLab. */
export interface GitLabCall {
  method: string;
  /** Escaped as it was sent, without the API's prefix. */
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes
  body: any;
  status: number;
}

/** Changes a hook on its way: another body, another token (empty: none). */
export type Meddle = (hook: {
  event: string;
  body: string;
  token: string;
}) => { body?: string; token?: string } | 'drop';

/**
 * Stands between GitLab and Pipelines-as-Code in both directions, writes down what passes, and can change hooks. What
 * Pipelines-as-Code says to GitLab goes on unchanged.
 */
export async function startRelay({ gitlabUrl, hookUrl }: { gitlabUrl: string; hookUrl: string }) {
  const deliveries: Delivery[] = [];
  const calls: GitLabCall[] = [];
  let meddle: Meddle = () => ({});
  const target = new URL(gitlabUrl);

  async function hook(request: IncomingMessage, response: ServerResponse, sent: string): Promise<void> {
    const event = String(request.headers['x-gitlab-event']);
    const original = { event, body: sent, token: String(request.headers['x-gitlab-token'] ?? '') };
    const change = meddle(original);
    response.writeHead(200).end();
    if (change === 'drop') return;
    const { body, token } = { ...original, ...change };
    deliveries.push({ event, answer: await post(event, body, token) });
  }

  async function post(event: string, body: string, token: string): Promise<string> {
    const answer = await fetch(hookUrl, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-gitlab-event': event,
        ...(token === '' ? {} : { 'x-gitlab-token': token }),
      },
    });
    const text = await answer.text();
    return `${answer.status} ${JSON.parse(text).message}`;
  }

  function pass(request: IncomingMessage, response: ServerResponse, body: string): void {
    const { method = 'GET', url = '/', headers } = request;
    const onward = forward(
      { host: target.hostname, port: target.port, method, path: url, headers: { ...headers, host: target.host } },
      (answer) => {
        const parsed = body.startsWith('{') ? JSON.parse(body) : undefined;
        const status = answer.statusCode ?? 0;
        calls.push({ method, path: url.replace('/api/v4', ''), body: parsed, status });
        response.writeHead(status, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    onward.end(body);
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      if (request.url === '/hook') hook(request, response, body).catch(() => response.destroy());
      else pass(request, response, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    /** GitLab, for Pipelines-as-Code. */
    url,
    hookUrl: `${url}/hook`,
    deliveries,
    calls,
    /** Changes the hooks from now on; called without anything, no more. */
    meddle(how: Meddle = () => ({})) {
      meddle = how;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
export type Relay = Awaited<ReturnType<typeof startRelay>>;
