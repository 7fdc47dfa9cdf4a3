import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { authenticate } from './access.ts';
import { branchRoutes } from './branches.ts';
import { decode, findRoute, type Route, route } from './call.ts';
import type { FaultAnswer } from './call-fault.ts';
import { commitActionRoutes } from './commit-actions.ts';
import { commitRoutes } from './commits.ts';
import { answerGit, gitCall } from './git-http.ts';
import { hookRoutes } from './hook-routes.ts';
import { memberRoutes } from './members.ts';
import { mergeRoutes } from './merge.ts';
import { mergeRequestRoutes } from './merge-requests.ts';
import { noteRoutes } from './notes.ts';
import { fromPairs, readParams } from './params.ts';
import { projectRoutes } from './projects.ts';
import { protectedBranchRoutes } from './protected-branches.ts';
import { VERSIONS } from './release.ts';
import { ok, Refused, type Reply, refuse } from './reply.ts';
import { repositoryRoutes } from './repository.ts';
import { requestDiffRoutes } from './request-diffs.ts';
import { requestListRoutes } from './request-list.ts';
import { statusRoutes } from './statuses.ts';
import { tagRoutes } from './tags.ts';
import { userRoutes } from './users.ts';
import { webPage } from './web-pages.ts';
import type { World } from './world.ts';

const version = (world: World) => ({ version: VERSIONS[world.release], revision: 'imitation', enterprise: false });

const routes: Route[] = [
  route('GET', '/version', (call) => {
    if (call.identity === undefined) throw refuse(401, '401 Unauthorized');
    return ok(version(call.world));
  }),
  route('GET', '/metadata', ({ world }) =>
    ok({ ...version(world), kas: { enabled: false, externalUrl: null, version: null } }),
  ),
  ...userRoutes,
  ...projectRoutes,
  ...memberRoutes,
  ...hookRoutes,
  ...branchRoutes,
  ...protectedBranchRoutes,
  ...tagRoutes,
  ...repositoryRoutes,
  ...commitRoutes,
  ...commitActionRoutes,
  ...statusRoutes,
  ...requestListRoutes,
  ...mergeRequestRoutes,
  ...requestDiffRoutes,
  ...mergeRoutes,
  ...noteRoutes,
];

const API = '/api/v4';

/** The server's request listener: faults, then git, REST or a web page. */
export function answerCalls(world: World): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const handled = handle(world, request, response).catch((thrown) => {
      // The client went away, or a stream broke half way: there is nobody to tell.
      world.log?.debug({ err: thrown }, 'connection lost');
      response.destroy();
    });
    world.background.watch(handled);
  };
}

async function handle(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [pathname = '/', search = ''] = splitOnce(request.url ?? '/', '?');
  const decoded = pathname.split('/').map(decode).join('/');
  const fault = world.faults.call(request.method ?? 'GET', decoded, search === '' ? '' : `?${search}`);
  if (fault?.delay !== undefined) await sleep(fault.delay, undefined, { signal: world.background.signal });
  if (fault?.answer !== undefined && fault.when !== 'after') {
    request.resume();
    return sendFault(request, response, fault.answer);
  }
  const reply = await answer(world, request, pathname, new URLSearchParams(search));
  world.log?.debug({ method: request.method, path: decoded, status: reply.status }, 'answered');
  if (fault?.answer !== undefined) return sendFault(request, response, fault.answer);
  send(request, response, reply);
}

function splitOnce(text: string, by: string): [string, string] {
  const at = text.indexOf(by);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function sendFault(request: IncomingMessage, response: ServerResponse, fault: FaultAnswer): void {
  if (fault === 'drop') {
    response.destroy();
    return;
  }
  const { body = '' } = fault;
  const reply = typeof body === 'string' ? { raw: body } : { body };
  const type = typeof body === 'string' && body.trimStart().startsWith('<') ? { 'Content-Type': 'text/html' } : {};
  send(request, response, { status: fault.status, headers: { ...type, ...fault.headers }, ...reply });
}

async function answer(
  world: World,
  request: IncomingMessage,
  pathname: string,
  query: URLSearchParams,
): Promise<Reply> {
  try {
    const git = gitCall(pathname);
    if (git !== undefined) return await answerGit(world, git, request, query);
    if (!pathname.startsWith(`${API}/`)) return webPage(world, pathname);
    return await answerRest(world, request, pathname.slice(API.length), query);
  } catch (thrown) {
    if (thrown instanceof Refused) return thrown.reply;
    world.log?.error({ err: thrown, path: pathname }, 'the imitation failed');
    return { status: 500, body: { message: '500 Internal Server Error' } };
  }
}

async function answerRest(
  world: World,
  request: IncomingMessage,
  path: string,
  query: URLSearchParams,
): Promise<Reply> {
  const method = request.method ?? 'GET';
  const found = findRoute(routes, method, path.split('/').slice(1));
  if (found === undefined) throw new Refused({ status: 404, body: { error: '404 Not Found' } });
  if (found === 'other-method') throw new Refused({ status: 405, body: { error: '405 Not Allowed' } });
  const identity = authenticate(world, request, query);
  const params = { ...fromPairs(query.entries()), ...(await readParams(request)) };
  return found.handler({ method, path: found.path, params, query, identity, request, world });
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const json = reply.raw === undefined && reply.status !== 204;
  response.writeHead(reply.status, {
    ...(json ? { 'Content-Type': 'application/json' } : {}),
    ...(request.url?.startsWith(API) ? { 'X-Request-Id': requestId() } : {}),
    ...reply.headers,
  });
  const empty = reply.status === 204 || request.method === 'HEAD';
  response.end(empty ? undefined : json ? JSON.stringify(reply.body) : reply.raw);
}

let requests = 0;
const requestId = () => `01${(requests++).toString(36).toUpperCase().padStart(24, '0')}`;
