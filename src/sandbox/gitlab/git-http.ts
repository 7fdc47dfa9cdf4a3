import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { killGroup } from '../../process/dying.ts';
import { DEVELOPER, type Identity, identify, levelOf, mayRead } from './access.ts';
import { decode, findProject } from './call.ts';
import type { RefMove } from './events.ts';
import { gitEnvironment } from './git.ts';
import type { Project, User } from './records.ts';
import { refsMoved } from './refs.ts';
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
    return plain(403, 'You are not allowed to push code to this project.');
  }
  if (project.archived) return plain(403, "You can't push code to a read-only GitLab instance.");
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
const greetings = new WeakMap<World, Buffer>();

async function serveFetch(world: World, exchange: Exchange): Promise<Reply> {
  if (exchange.service !== 'info/refs' || exchange.request.headers['git-protocol'] !== 'version=2')
    return backend(world, exchange);
  const known = greetings.get(world);
  const headers = { 'Content-Type': 'application/x-git-upload-pack-advertisement', 'Cache-Control': 'no-cache' };
  if (known !== undefined) return { status: 200, headers, raw: known };
  const reply = await backend(world, exchange);
  if (reply.status === 200 && reply.raw instanceof Readable) {
    const raw = await buffer(reply.raw);
    greetings.set(world, raw);
    return { ...reply, raw };
  }
  return reply;
}

/** A push: the rules go to the hooks by environment, the hooks tell which refs have moved by a file. */
async function push(world: World, exchange: Exchange<User>): Promise<Reply> {
  const { project, user } = exchange;
  if (exchange.service === 'info/refs') return backend(world, exchange);
  const scratch = await mkdtemp(join(world.dir, 'push-'));
  const moved = join(scratch, 'moved');
  await writeFile(moved, '');
  const finish = async () => {
    const lines = (await readFile(moved, 'utf8')).split('\n').filter(Boolean);
    await rm(scratch, { recursive: true });
    const moves = lines.map((line): RefMove => {
      const [from = '', to = '', ref = ''] = line.split(' ');
      return { ref, from, to };
    });
    if (moves.length > 0) await world.alone(project, () => refsMoved(world, project, user, moves));
  };
  const env = { ...pushRules(world, project, user), GITLAB_MOVED: moved };
  return backend(world, exchange, { env, finish });
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
const children = new WeakMap<World, Set<ChildProcess>>();

export function endGitChildren(world: World): void {
  // The whole group: http-backend's own children hold the pipes.
  for (const child of children.get(world) ?? []) killGroup(child);
}

function backend(
  world: World,
  { project, service, request, query, user }: Exchange,
  more: { env?: Record<string, string>; finish?: () => Promise<void> } = {},
): Promise<Reply> {
  const header = (name: string) => String(request.headers[name] ?? '');
  const child = spawn('git', ['http-backend'], {
    detached: true,
    env: {
      ...gitEnvironment({ 'core.hooksPath': join(world.dir, 'githooks') }),
      GIT_PROJECT_ROOT: join(world.dir, 'repositories'),
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: `/${project.id}.git/${service}`,
      QUERY_STRING: query.toString(),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: header('content-type'),
      ...(request.headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: header('content-length') }),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      GIT_PROTOCOL: header('git-protocol'),
      REMOTE_ADDR: '127.0.0.1',
      ...(user === undefined ? {} : { REMOTE_USER: user.username }),
      ...more.env,
    },
  });
  const running = children.get(world) ?? new Set();
  children.set(world, running.add(child));
  const failed = new Promise<never>((_, reject) => child.on('error', reject));
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve())).finally(() =>
    running.delete(child),
  );
  // A child that has refused does not read the rest; a client that went away ends the input early.
  child.stdin.on('error', () => {});
  request.pipe(child.stdin);
  request.on('close', () => child.stdin.end());
  child.stderr.on('data', (chunk) => world.log?.debug({ project: project.path_with_namespace }, String(chunk).trim()));

  const finished = closed.then(() => more.finish?.());
  world.background.watch(finished);
  finished.catch((thrown) => world.log?.error({ err: thrown }, 'after a push'));
  const body = new Transform({
    transform: (chunk, _encoding, done) => done(null, chunk),
    flush: (done) => void finished.then(() => done(), done),
  });
  // A fetch nobody reads any more is ended; a push is not, it may be about to move refs.
  if (more.finish === undefined) body.on('close', () => running.has(child) && killGroup(child));
  return Promise.race([failed, readHead(child, body)]);
}

/** Reads the CGI head of the answer; what comes after it goes to the body. */
function readHead(child: ReturnType<typeof spawn>, body: Transform): Promise<Reply> {
  return new Promise((resolve) => {
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      child.stdout?.off('data', onData);
      const headers: Record<string, string> = {};
      let status = 200;
      for (const line of head.subarray(0, end).toString().split('\r\n')) {
        const [name = '', ...rest] = line.split(':');
        const value = rest.join(':').trim();
        if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
        else headers[name] = value;
      }
      body.write(head.subarray(end + 4));
      child.stdout?.pipe(body);
      resolve({ status, headers, raw: body });
    };
    child.stdout?.on('data', onData);
    child.stdout?.on('end', () => resolve(plain(500, 'git http-backend gave no answer')));
  });
}
