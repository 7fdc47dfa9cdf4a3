import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { plainError, TEXTS } from './answers.ts';

type Fetch = (request: Request, env: never) => Response | Promise<Response>;

/** Of these headers Node keeps one or joins all: what was meant would be a guess, and a principal is never guessed. */
const SINGLE = ['Host', 'Authorization', 'Content-Type', 'Idempotency-Key'];

/** What Node's parser says of requests that are no HTTP, as status and error text; all others are 400. */
const UNREADABLE: Readonly<Record<string, [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, TEXTS.headersTooLarge],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, TEXTS.tooLarge],
  ERR_HTTP_REQUEST_TIMEOUT: [408, TEXTS.tooSlow],
};

/**
 * An HTTP server that answers in the error format of rest-api.md §7.3 also what never gets as far as the app: Node's own
 * answers have no body.
 *
 * @param host stands for the Host header, which HTTP/1.0 may leave out
 * @param userHeader must be given once, as the other headers that say who calls
 */
export function createTransport(fetch: Fetch, { host, userHeader }: { host: string; userHeader: string }): Server {
  const single = [...SINGLE, userHeader];
  const listener = getRequestListener(fetch as Parameters<typeof getRequestListener>[0], {
    hostname: host,
    errorHandler: (thrown) => {
      if (!(thrown instanceof RequestError)) throw thrown;
      const { body, headers } = plainError(400, TEXTS.badAddress);
      return new Response(body, { status: 400, headers });
    },
  });
  // A missing Host is looked at below: Node's own answer has no body.
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    const problem = headerProblem(request, single);
    if (problem === null) void listener(request, response);
    else refuse(response, 400, problem);
  });
  server.on('checkExpectation', (_request, response) => refuse(response, 417, TEXTS.expectation));
  server.on('connect', (_request, socket) => refuseOnSocket(socket, 405, TEXTS.methodNotAllowed));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // A client that has left reads no answer, and did nothing wrong.
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const [status, message] = UNREADABLE[error.code ?? ''] ?? [400, TEXTS.noHttp];
    refuseOnSocket(socket, status, message);
  });
  return server;
}

function headerProblem({ httpVersion, rawHeaders }: IncomingMessage, single: readonly string[]): string | null {
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  const twice = single.find((name) => names.indexOf(name.toLowerCase()) !== names.lastIndexOf(name.toLowerCase()));
  if (twice !== undefined) return `The "${twice}" header must be given once.`;
  return httpVersion === '1.1' && !names.includes('host') ? 'The "Host" header must be given once.' : null;
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const { body, headers } = plainError(status, message);
  response.writeHead(status, headers).end(body);
}

function refuseOnSocket(socket: Duplex, status: number, message: string): void {
  const { body, headers } = plainError(status, message);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n'));
}
