import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe } from '../../errors/failure.ts';
import { createLog, type Log } from '../../telemetry/log.ts';
import type { Store } from '../kubernetes/store.ts';
import { PacFaults } from './faults.ts';
import { type Reading, readHook } from './hook.ts';
import { take } from './intake.ts';
import { admitRepository, repositoryFor, secretFits } from './repository.ts';
import type { Service } from './service.ts';
import { startWatcher } from './watcher.ts';

export interface PipelinesAsCodeOptions {
  store: Store;
  /** 0 or absent: any free port. */
  port?: number;
  applicationName?: string;
  release?: '0.41' | '0.43';
  consoleUrl?: string;
  /** Milliseconds from the end of a run to its final status. */
  statusLag?: number;
  log?: Log;
}

export interface PipelinesAsCode {
  /** Where GitLab's webhooks go. */
  url: string;
  port: number;
  faults: PacFaults;
  /** Resolves when nothing is being worked on. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Bytes of a hook; GitLab's own limit is 25 MB. */
const LARGEST = 25 * 1024 * 1024;

/**
 * Starts the imitation of Pipelines-as-Code: hooks are answered at once and worked on afterwards; what goes wrong then
 * is in the log, in Kubernetes events and, sometimes, on the commit (konflux-and-gitlab.md §1, real-cluster.md §5).
 */
export async function startPipelinesAsCode(options: PipelinesAsCodeOptions): Promise<PipelinesAsCode> {
  const { store, port = 0 } = options;
  const closing = new AbortController();
  const faults = new PacFaults();
  const service: Service = {
    store,
    log: options.log ?? createLog('silent', 'pipelines-as-code'),
    signal: closing.signal,
    applicationName: options.applicationName ?? 'Pipelines as Code CI',
    release: options.release ?? '0.41',
    consoleUrl: options.consoleUrl ?? 'https://openshift.url.is.not.configured',
    statusLag: options.statusLag ?? 150,
    faults,
    arrivals: new Map(),
  };
  const works = new Set<Promise<void>>();
  const background = (work: Promise<void>): void => {
    const watched = work
      .catch((thrown: unknown) => {
        if (!closing.signal.aborted) service.log.error({ err: thrown }, describe(thrown));
      })
      .finally(() => works.delete(watched));
    works.add(watched);
  };
  const admission = admitRepository(store);
  store.admission.push(admission);
  const stopWatching = startWatcher(service, background);

  const server = createServer((request, response) => {
    receive(request)
      .then((body) => respond(service, request, body, response, background))
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${taken}/`,
    port: taken,
    faults,
    async idle() {
      while (works.size > 0) await Promise.all(works);
    },
    async close() {
      stopWatching();
      closing.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await Promise.all(works);
      store.admission.splice(store.admission.indexOf(admission), 1);
    },
  };
}

async function receive(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST) throw new RangeError('the hook is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function respond(
  service: Service,
  request: IncomingMessage,
  body: string,
  response: ServerResponse,
  background: (work: Promise<void>) => void,
): void {
  const answer = (code: number, text: string) => {
    response.writeHead(code, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ status: code, message: text }));
  };
  const payload = request.method === 'POST' ? parse(body) : undefined;
  if (request.method !== 'POST') answer(200, 'ok');
  else if (payload === undefined) answer(400, 'invalid event body format');
  else {
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
    );
    const reading = readHook(headers['x-gitlab-event'], payload);
    if ('skip' in reading) answer(200, reading.skip);
    else {
      answer(202, 'accepted');
      if (!service.faults.swallows()) act(service, reading, headers, background);
    }
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** After the answer: whatever is wrong from here on, the sender does not learn of it. */
function act(
  service: Service,
  reading: Exclude<Reading, { skip: string }>,
  headers: Readonly<Record<string, string>>,
  background: (work: Promise<void>) => void,
): void {
  if ('error' in reading) {
    service.log.error(reading.error);
    return;
  }
  const { event } = reading;
  const repository = repositoryFor(service.store, event.repoUrl);
  if (!repository) service.log.info({ url: event.repoUrl }, 'cannot find a repository match');
  else if (!secretFits(headers['x-gitlab-token'], repository.webhookSecret)) {
    service.log.error({ repository: repository.name }, 'gitlab: failed validation: the webhook secret does not match');
  } else background(take(service, event, repository, headers));
}
