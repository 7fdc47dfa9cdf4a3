import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Log } from '../../telemetry/log.ts';
import { registerSecret } from '../../telemetry/secrets.ts';
import { answerCalls } from './answer.ts';
import { createFaults, type Faults } from './faults.ts';
import { writeGitHooks } from './git-hooks.ts';
import { endGitChildren } from './git-http.ts';
import { prepare } from './merge-requests.ts';
import { resumeChecks } from './mergeability.ts';
import { type PushDelay, resumePushes } from './push-queue.ts';
import { seededRandom } from './random.ts';
import type { Hook, Project, User } from './records.ts';
import type { Release } from './release.ts';
import { createSeeds, type Seeds } from './seeds.ts';
import { openStore } from './store.ts';
import { createToken, createUser } from './users.ts';
import { createBackground, createQueues, type World } from './world.ts';

export type { CallFault } from './call-fault.ts';
export type { Faults, Injected } from './faults.ts';
export type { Hook, Project, PushDelay, Release, User };

/** How GitLab answers where instances differ. */
export interface GitLabBehaviour {
  /** Whose answers it gives; the newest unless told otherwise. */
  release?: Release;
  /** How long a push waits to be processed; up to 1.5 seconds unless told otherwise. */
  pushDelay?: PushDelay;
  /** How often, from 0 to 1, a look at a mergeable merge request makes GitLab check it anew; a tenth unless told otherwise. */
  doubt?: number;
}

export interface GitLabOptions extends GitLabBehaviour {
  /** Keeps repositories and records; a second start on the same directory goes on with them. */
  dir: string;
  /** A free one when left out. */
  port?: number;
  log?: Log;
}

const PUSH_DELAY: PushDelay = { from: 0, to: 1500, seed: 1 };
const DOUBT = 0.1;

export interface GitLab extends Seeds {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  url: string;
  port: number;
  /** Token of the administrator `root`, scopes `api`, `read_repository`, `write_repository`. */
  adminToken: string;
  faults: Faults;
  /** Resolves when all hooks, checks and removals under way are done. */
  settled(): Promise<void>;
  /** Ends everything; nothing is left running. */
  close(): Promise<void>;
}

/**
 * Starts an imitation of GitLab: REST API v4, git over smart HTTP, web hooks (konflux-and-gitlab.md §4, §6).
 * Listens on loopback only.
 */
export async function startGitLab(options: GitLabOptions): Promise<GitLab> {
  const { dir, log } = options;
  await mkdir(join(dir, 'repositories'), { recursive: true });
  await writeGitHooks(dir);
  const store = openStore(join(dir, 'gitlab.sqlite'));
  const background = createBackground((name, thrown) => log?.warn({ err: thrown, job: name }, 'background job failed'));
  const queues = createQueues<number>();
  const { release = 'newest', pushDelay = PUSH_DELAY, doubt = DOUBT } = options;
  const { faults, taker } = createFaults(release, () => resumeChecks(world));
  const random = seededRandom(pushDelay.seed);
  const world: World = {
    url: '',
    dir,
    store,
    faults: taker,
    background,
    log,
    release,
    pushDelay: () => Math.round(pushDelay.from + random() * (pushDelay.to - pushDelay.from)),
    doubts: () => random() < doubt,
    alone: (project, work) => queues(project.id, work),
    checks: new Map(),
  };
  let closing: Promise<void> | undefined;
  const adminToken = await administrator(world);
  const server = createServer(answerCalls(world));
  // A clone may take its time; nothing here is reached from outside.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  world.url = `http://127.0.0.1:${port}`;
  resume(world);
  return {
    url: world.url,
    port,
    adminToken,
    faults,
    ...createSeeds(world),
    settled: () => background.settled(),
    close: () => (closing ??= stop()),
  };

  async function stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    endGitChildren(world);
    server.closeAllConnections();
    await closed;
    await background.stop();
    store.close();
  }
}

/** The administrator and the token, made at the first start and found again at the next. */
async function administrator(world: World): Promise<string> {
  const file = join(world.dir, 'admin-token');
  const known = world.store.users.find((user) => user.username === 'root');
  if (known !== undefined) {
    const value = await readFile(file, 'utf8');
    registerSecret(value);
    return value;
  }
  const root = createUser(world, { username: 'root', name: 'Administrator', email: 'admin@example.com', admin: true });
  const { value } = createToken(world, root, { name: 'administrator' });
  await writeFile(file, value, { mode: 0o600 });
  return value;
}

/** What the last stop has cut off goes on: unfinished checks; merges that had not happened are open again. */
function resume(world: World): void {
  for (const request of world.store.mergeRequests.all()) {
    const project = world.store.projects.get(request.project_id);
    const author = world.store.users.get(request.author_id);
    if (project === undefined || author === undefined) continue;
    if (request.state === 'locked') world.store.mergeRequests.change(request, { state: 'opened' });
    if (request.rebase_in_progress) world.store.mergeRequests.change(request, { rebase_in_progress: false });
    if (request.merge_status === 'preparing') {
      world.background.start(`preparing !${request.iid}`, () => prepare(world, project, author, request));
    }
  }
  resumeChecks(world);
  resumePushes(world);
}
