import { mkdir, writeFile } from 'node:fs/promises';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Access } from './access.ts';
import { type Call, readCall } from './call.ts';
import { certificates } from './certificates.ts';
import { giveDefaultAccounts } from './default-account.ts';
import { type Fault, Faults } from './faults.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import { PodLogs } from './logs.ts';
import { Refusal } from './refusal.ts';
import { type Answer, answer } from './routes.ts';
import { Store } from './store.ts';
import { type Channel, serveWatch } from './watch.ts';

export interface KubernetesOptions {
  /** Certificates, tokens, objects and pod logs are kept here. */
  dir: string;
  /** 0 or absent: any free port. */
  port?: number;
  /** How many changes can be watched from the past before 410. */
  historyLength?: number;
  /** Milliseconds. */
  bookmarkInterval?: number;
}

export interface Kubernetes {
  url: string;
  port: number;
  caFile: string;
  caPem: string;
  /** File for kubectl and client libraries, as admin. */
  kubeconfig: string;
  access: Access;
  store: Store;
  logs: PodLogs;
  faults: Faults;
  close(): Promise<void>;
}

/**
 * Starts the imitation of a Kubernetes API server on loopback: HTTPS (HTTP/1.1 and 2), bearer tokens with rules,
 * list and watch, the kinds of `object.ts` (konflux-and-gitlab.md §6.1, real-cluster.md §2).
 *
 * @throws Failure `process_failed` when openssl cannot make the certificates
 */
export async function startKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { dir, port = 0, historyLength = 2000, bookmarkInterval = 10_000 } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const tls = await certificates(dir);
  const store = new Store(join(dir, 'objects.db'), { historyLength });
  const access = new Access(dir, store);
  const stopGiving = giveDefaultAccounts(store);
  const logs = new PodLogs(join(dir, 'logs'));
  const faults = new Faults();

  const handle = async (request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> => {
    const call = readCall(request.method, request.url);
    const reset = () => (request.httpVersionMajor === 2 ? request.stream.session?.destroy() : request.socket.destroy());
    try {
      const fault = faults.take(call);
      if (fault?.kind === 'hang') return;
      if (fault?.kind === 'drop') return void reset();
      if (fault?.kind === 'delay') await sleep(fault.milliseconds);
      if (fault?.kind === 'status') return void send(response, faultAnswer(fault, call));
      const user = access.authenticate(request.headers.authorization);
      access.authorize(user, call);
      if (call.verb === 'watch' && call.resource) {
        const watch = serveWatch(store, call.resource, call, channelOf(request, response, reset), {
          bookmarkInterval,
          timeoutSeconds: 1800,
        });
        faults.watches.add(watch);
        response.on('close', () => faults.watches.delete(watch));
        return;
      }
      const body = await read(request);
      const result = answer({ store, logs, access, user }, call, body, request.headers['content-type']);
      if (fault?.kind === 'drop after') return void reset();
      await send(response, result);
    } catch (thrown) {
      const refusal =
        thrown instanceof Refusal
          ? thrown
          : new Refusal(
              500,
              'InternalError',
              `Internal error occurred: ${thrown instanceof Error ? thrown.message : thrown}`,
            );
      if (response.headersSent) return void reset();
      await send(response, { code: refusal.code, json: refusal.status });
    }
  };

  const server = createSecureServer({ cert: tls.certificate, key: tls.key, allowHTTP1: true }, (request, response) => {
    request.on('error', () => {});
    response.on('error', () => {});
    handle(request, response).catch(() => response.stream?.destroy());
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${taken}`;
  const kubeconfig = join(dir, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigOf({ server: url, ca: tls.ca, token: access.admin }), { mode: 0o600 });

  return {
    url,
    port: taken,
    caFile: tls.caFile,
    caPem: tls.ca,
    kubeconfig,
    access,
    store,
    logs,
    faults,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      stopGiving();
      store.close();
    },
  };
}

async function read(request: Http2ServerRequest): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

async function send(response: Http2ServerResponse, { code, json, text, headers, stream }: Answer): Promise<void> {
  if (stream) {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    response.writeHead(code, { 'content-type': 'text/plain' });
    for await (const chunk of stream(gone.signal)) response.write(chunk);
    response.end();
    return;
  }
  const body = json === undefined ? (text ?? '') : JSON.stringify(json);
  const type = json === undefined ? 'text/plain; charset=utf-8' : 'application/json';
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

function channelOf(request: Http2ServerRequest, response: Http2ServerResponse, reset: () => void): Channel {
  // The head waits for the first bytes, so that a refusal can still become a status; a quiet watch sends it at once below.
  const open = () => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
  };
  setImmediate(() => {
    if (response.writableEnded || response.headersSent || response.destroyed) return;
    open();
    if (request.httpVersionMajor === 1) (response as unknown as { flushHeaders(): void }).flushHeaders();
  });
  return {
    write: (text) => {
      open();
      response.write(text);
    },
    end: () => {
      open();
      response.end();
    },
    reset,
    onClose: (listener) => void response.on('close', listener),
  };
}

function faultAnswer(fault: Extract<Fault, { kind: 'status' }>, { path }: Call): Answer {
  const headers = fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) };
  if (fault.html !== undefined)
    return { code: fault.status, text: fault.html, headers: { ...headers, 'content-type': 'text/html' } };
  const reasons: Record<number, string> = {
    400: 'BadRequest',
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'NotFound',
    409: 'Conflict',
    410: 'Expired',
    429: 'TooManyRequests',
    500: 'InternalError',
    503: 'ServiceUnavailable',
    504: 'Timeout',
  };
  const message = fault.message ?? `the server is made to answer ${fault.status} on ${path}`;
  const details = fault.retryAfter === undefined ? undefined : { retryAfterSeconds: fault.retryAfter };
  return {
    code: fault.status,
    headers,
    json: new Refusal(fault.status, reasons[fault.status] ?? 'Unknown', message, details).status,
  };
}
