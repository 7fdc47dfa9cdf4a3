import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

/** A REST call that went through, and what came back; bodies that are not JSON are null. */
export interface Exchange {
  method: string;
  /** As it was sent, with the query, without `/api/v4`. */
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
  sent: any;
  status: number;
  headers: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
  body: any;
}

/** Called before an answer is passed on; what it changes in the exchange's status and body is what the client sees. */
export type Meddle = (exchange: Exchange) => void;

/** Headers that are about one connection, or about a form of the body that `fetch` has undone. */
const NOT_PASSED_ON = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding'];

/**
 * Stands before a GitLab at a loopback address, for REST and for git, tells what went through, and can change answers. Git's
 * bodies are passed on as streams.
 */
export async function startGitLabRelay(gitlabUrl: string, told: Meddle = () => {}) {
  let meddle: Meddle = () => {};
  const base = gitlabUrl.replace(/\/+$/, '');

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const isRest = url.startsWith('/api/v4');
    const hasBody = method !== 'GET' && method !== 'HEAD';
    const sent = isRest && hasBody ? Buffer.concat(await request.toArray()) : undefined;
    const answer = await fetch(`${base}${url}`, {
      method,
      redirect: 'manual',
      headers: headersOf(request),
      ...(hasBody ? { body: sent ?? (Readable.toWeb(request) as never), duplex: 'half' } : {}),
    });
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !NOT_PASSED_ON.includes(name)));
    if (!isRest) {
      response.writeHead(answer.status, headers);
      if (answer.body === null) return void response.end();
      return pipeline(Readable.fromWeb(answer.body as ReadableStream), response);
    }
    const raw = Buffer.from(await answer.arrayBuffer());
    const body = jsonOf(raw);
    const exchange = {
      method,
      path: url.slice('/api/v4'.length),
      sent: jsonOf(sent),
      status: answer.status,
      headers,
      body,
    };
    const before = JSON.stringify(body);
    meddle(exchange);
    told(exchange);
    const changed = JSON.stringify(exchange.body) !== before;
    response.writeHead(exchange.status, headers).end(changed ? JSON.stringify(exchange.body) : raw);
  }

  const server = createServer((request, response) => {
    pass(request, response).catch(() => response.destroy());
  });
  server.requestTimeout = 0;
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    /** What clients take for GitLab's address. */
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Changes answers from now on; called without anything, no more. */
    meddle(how: Meddle = () => {}) {
      meddle = how;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
export type GitLabRelay = Awaited<ReturnType<typeof startGitLabRelay>>;

function headersOf(request: IncomingMessage): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at]?.toLowerCase() ?? '';
    if (name !== 'host' && name !== 'expect' && !(NOT_PASSED_ON.includes(name) && name !== 'content-encoding'))
      pairs.push([name, request.rawHeaders[at + 1] ?? '']);
  }
  return pairs;
}

function jsonOf(raw: Buffer | undefined): unknown {
  try {
    return JSON.parse(String(raw));
  } catch {
    return null;
  }
}
