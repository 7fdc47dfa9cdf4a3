import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Child } from '../../process/child.ts';
import { start } from '../../process/launcher.ts';
import { DEVELOPER, type Identity, identify, levelOf, mayRead } from './access.ts';
import { decode, findProject } from './call.ts';
import type { RefMove } from './events.ts';
import { gitEnvironment } from './git.ts';
import { acceptPush } from './push-queue.ts';
import type { Project, User } from './records.ts';
import { refusal } from './refusals.ts';
import type { Reply } from './reply.ts';
import type { World } from './world.ts';

/** git over smart HTTP: `git http-backend` behind GitLab's rights and refusals (konflux-and-gitlab.md §4.3, §4.4). */

const SERVICE = /^\/(.+?)(\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;

export interface GitCall {
  project: string;
  /** `info/refs`, `git-upload-pack` or `git-receive-pack`. */
  service: string;
  /** Addressed without `.git`. */
  bare: boolean;
}

/** What a raw path asks of git, if anything. */
export function gitCall(pathname: string): GitCall | undefined {
  const match = pathname.match(SERVICE);
  if (match === null || pathname.startsWith('/api/')) return undefined;
  return { project: decode(match[1] ?? ''), service: match[3] ?? '', bare: match[2] === undefined };
}

const plain = (status: number, raw: string, headers: Record<string, string> = {}): Reply => ({
  status,
  raw,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
});

const ACCESS_DENIED =
  "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're " +
  'required to use a token instead of a password. If a token was provided, it was either incorrect, expired, or improperly scoped.';

const denied = (world: World) =>
  plain(
    401,
    `${ACCESS_DENIED} See ${world.url}/help/topics/git/troubleshooting_git.md#error-on-git-fetch-http-basic-access-denied`,
    { 'WWW-Authenticate': 'Basic realm="GitLab"' },
  );

/** Answers one git request; a push has taken effect, hooks queued, before its answer ends. */
export async function answerGit(
  world: World,
  call: GitCall,
  request: IncomingMessage,
  query: URLSearchParams,
): Promise<Reply> {
  if (call.bare) {
    const search = query.size > 0 ? `?${query}` : '';
    return plain(301, 'Moved Permanently', { Location: `${world.url}/${call.project}.git/${call.service}${search}` });
  }
  const service = call.service === 'info/refs' ? query.get('service') : call.service;
  if (service !== 'git-upload-pack' && service !== 'git-receive-pack')
    return plain(403, 'Git access over HTTP is not allowed');
  const pushing = service === 'git-receive-pack';
  const identity = basicIdentity(world, request);
  if (identity === 'wrong') return denied(world);
  const project = findProject(world, call.project);
  // Anonymous callers learn nothing: whether the project exists is not told either.
  if (identity === undefined && (pushing || project === undefined || !mayRead(world, undefined, project)))
    return denied(world);
  const needed = pushing ? ['api', 'write_repository'] : ['api', 'read_api', 'read_repository', 'write_repository'];
  if (identity !== undefined && !identity.scopes.some((scope) => needed.includes(scope))) {
    return pushing ? plain(403, 'You are not allowed to push code to this project.') : denied(world);
  }
  if (project === undefined || !mayRead(world, identity?.user, project)) {
    return plain(404, "The project you were looking for could not be found or you don't have permission to view it.");
  }
  const asked = { project, service: call.service, request, query };
  if (!pushing) return serveFetch(world, { ...asked, user: identity?.user });
  if (identity === undefined || levelOf(world, identity.user, project) < DEVELOPER) {
    throw refusal(world, 'push-no-right');
  }
  if (project.archived) throw refusal(world, 'push-archived');
  return push(world, { ...asked, user: identity.user });
}

/** Any user name goes, the token is the password; a Bearer token works too. */
function basicIdentity(world: World, request: IncomingMessage): Identity | 'wrong' | undefined {
  const { authorization } = request.headers;
  if (authorization === undefined) return undefined;
  const basic = authorization.match(/^Basic\s+(.+)$/i)?.[1];
  const token =
    basic === undefined
      ? authorization.replace(/^Bearer\s+/i, '')
      : Buffer.from(basic, 'base64')
          .toString()
          .replace(/^[^:]*:/, '');
  const identity = identify(world, token);
  return identity === undefined || typeof identity === 'string' ? 'wrong' : identity;
}

/** A git request that is allowed, and whose it is; nobody's where the project is open to everybody. */
interface Exchange<U extends User | undefined = User | undefined> {
  project: Project;
  service: string;
  request: IncomingMessage;
  query: URLSearchParams;
  user: U;
}

/** Per server: what git can do, as version 2 of its protocol begins; no ref of any repository is in it. */
const greetings = new WeakMap<World, Reply>();

async function serveFetch(world: World, exchange: Exchange): Promise<Reply> {
  if (exchange.service !== 'info/refs' || exchange.request.headers['git-protocol'] !== 'version=2')
    return backend(world, exchange);
  const reply = greetings.get(world) ?? (await backend(world, exchange));
  if (reply.status === 200) greetings.set(world, reply);
  return reply;
}

/** A push: the rules go to the hooks by environment, the hooks tell which refs have moved by a file. */
async function push(world: World, exchange: Exchange<User>): Promise<Reply> {
  const { project, user } = exchange;
  if (exchange.service === 'info/refs') return backend(world, exchange);
  const scratch = await mkdtemp(join(world.dir, 'push-'));
  const moved = join(scratch, 'moved');
  await writeFile(moved, '');
  try {
    const reply = await backend(world, exchange, { ...pushRules(world, project, user), GITLAB_MOVED: moved });
    const lines = (await readFile(moved, 'utf8')).split('\n').filter(Boolean);
    const moves = lines.map((line): RefMove => {
      const [from = '', to = '', ref = ''] = line.split(' ');
      return { ref, from, to };
    });
    if (moves.length > 0) await world.alone(project, () => acceptPush(world, project, user, moves));
    return reply;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** What the pre-receive hook needs to know; patterns one a line. */
function pushRules(world: World, project: Project, user: User): Record<string, string> {
  const level = levelOf(world, user, project);
  const rules = world.store.protectedBranches.filter((rule) => rule.project_id === project.id);
  const names = (matches: (rule: (typeof rules)[number]) => boolean) =>
    rules
      .filter(matches)
      .map((rule) => `refs/heads/${rule.name}`)
      .join('\n');
  return {
    GITLAB_PROTECTED: names(() => true),
    GITLAB_PUSHABLE: names((rule) => rule.push_level > 0 && level >= rule.push_level),
    GITLAB_FORCEABLE: names((rule) => rule.allow_force_push),
    GITLAB_DEFAULT: project.default_branch === null ? '' : `refs/heads/${project.default_branch}`,
    GITLAB_DECLINE: world.faults.pushRefusal(project) ?? '',
    GITLAB_URL: `${world.url}/${project.path_with_namespace}`,
  };
}

/** The children that serve git right now; the server ends them when it closes. */
const children = new WeakMap<World, Set<Child>>();

export function endGitChildren(world: World): void {
  for (const child of children.get(world) ?? []) child.kill();
}

async function backend(
  world: World,
  { project, service, request, query, user }: Exchange,
  env: Record<string, string> = {},
): Promise<Reply> {
  const input = await buffer(request);
  const header = (name: string) => String(request.headers[name] ?? '');
  const child = start({
    file: 'git',
    args: ['http-backend'],
    cwd: world.dir,
    env: {
      ...gitEnvironment({ 'core.hooksPath': join(world.dir, 'githooks') }),
      GIT_PROJECT_ROOT: join(world.dir, 'repositories'),
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: `/${project.id}.git/${service}`,
      QUERY_STRING: query.toString(),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: header('content-type'),
      CONTENT_LENGTH: String(input.length),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      GIT_PROTOCOL: header('git-protocol'),
      REMOTE_ADDR: '127.0.0.1',
      ...(user === undefined ? {} : { REMOTE_USER: user.username }),
      ...env,
    },
    input,
  });
  const running = children.get(world) ?? new Set();
  children.set(world, running.add(child));
  const { stdout, stderr } = await child.ended;
  running.delete(child);
  if (stderr.length > 0) world.log?.debug({ project: project.path_with_namespace }, stderr.toString().trim());
  return readAnswer(stdout);
}

/** A CGI program's answer: its head and, after an empty line, the body. */
function readAnswer(answer: Buffer): Reply {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return plain(500, 'git http-backend gave no answer');
  const headers: Record<string, string> = {};
  let status = 200;
  for (const line of answer.subarray(0, end).toString().split('\r\n')) {
    const [name = '', ...rest] = line.split(':');
    const value = rest.join(':').trim();
    if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
    else headers[name] = value;
  }
  return { status, headers, raw: answer.subarray(end + 4) };
}
