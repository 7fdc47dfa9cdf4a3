import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createForge, type Forge } from '../../../src/forge/forge.ts';
import { createLog } from '../../../src/telemetry/log.ts';

/** The GitLab that is tried. */
export interface Target {
  url: string;
  /** Scope `api` and `write_repository`, of somebody who may make projects. */
  token: string;
  /** Full path of the group the projects are made in; the user's own namespace when absent. */
  group?: string | undefined;
  /** Where GitLab reaches this machine, for hooks; they are not tried when absent. */
  hookUrl?: string | undefined;
  /** The port of this machine that `hookUrl` leads to; that of the URL when absent. */
  hookPort?: number | undefined;
}

export interface Answered {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  body: any;
}

/** A scenario cannot be tried here; the message says why. */
export class Skip extends Error {}

/** Milliseconds until what is waited for is taken for lost; an installation that is busy may need a minute. */
const PATIENCE = 180_000;

export interface Scene {
  /** A REST call; the path goes on after the project. */
  project(method: string, path: string, body?: unknown): Promise<Answered>;
  forge: Forge;
  signal: AbortSignal;
  /** Pushes a commit that writes the files to a branch, on the newest of `from`; gives its id. */
  push(branch: string, files: Record<string, string>, from?: string): Promise<string>;
  /** Asks until the answer is good. @throws Error with the last answer after three minutes */
  until<T>(ask: () => Promise<T>, good: (answer: T) => boolean): Promise<T>;
  /** An open merge request from a pushed branch of this name into main. */
  proposed(branch: string, files?: Record<string, string>): Promise<{ iid: number; sha: string; base: string }>;
  /** The merge request once GitLab has looked whether it can be merged. */
  checked(iid: number): Promise<Answered['body']>;
  tip(branch: string): Promise<string | null>;
}

/** The REST API of a GitLab by a token. */
export function restOf({ url, token }: Pick<Target, 'url' | 'token'>) {
  return async (method: string, path: string, body?: unknown): Promise<Answered> => {
    const response = await fetch(`${url}/api/v4${path}`, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(60_000),
      headers: { 'private-token': token, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
  };
}

/** Makes a project with one commit on `main`, tries something in it, and removes it whatever came of it. */
export async function inProject(
  target: Target,
  settings: object,
  tried: (scene: Scene) => Promise<void>,
): Promise<void> {
  const rest = restOf(target);
  const namespace = target.group === undefined ? {} : { namespace_id: await groupId(target, target.group) };
  const name = `indexwright-contract-${randomBytes(5).toString('hex')}`;
  const made = await rest('POST', '/projects', {
    name,
    path: name,
    default_branch: 'main',
    initialize_with_readme: true,
    visibility: 'private',
    ...namespace,
    ...settings,
  });
  if (made.status !== 201) throw new Error(`no project: ${made.status} ${JSON.stringify(made.body)}`);
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-contract-'));
  try {
    await tried(await sceneOf(target, made.body, dir));
  } finally {
    await rm(dir, { recursive: true, force: true });
    await removeProject(target, made.body);
  }
}

async function groupId(target: Target, group: string): Promise<number> {
  const found = await restOf(target)('GET', `/groups/${encodeURIComponent(group)}`);
  if (found.status !== 200) throw new Error(`the group ${group} cannot be read: ${found.status}`);
  return found.body.id;
}

interface Made {
  id: number;
  path_with_namespace: string;
}

/** Newer versions keep a deleted project for some days unless they are asked twice. */
async function removeProject(target: Target, { id, path_with_namespace: path }: Made): Promise<void> {
  const rest = restOf(target);
  const removed = await rest('DELETE', `/projects/${id}`);
  if (removed.status !== 202) throw new Error(`${path} could not be removed: ${removed.status}; remove it by hand`);
  const left = await rest('GET', `/projects/${id}`);
  if (left.status !== 200 || !left.body.marked_for_deletion_on) return;
  const now = left.body.path_with_namespace ?? path;
  await rest('DELETE', `/projects/${id}?permanently_remove=true&full_path=${encodeURIComponent(now)}`);
}

async function sceneOf(target: Target, made: Made, dir: string): Promise<Scene> {
  const rest = restOf(target);
  const url = `${target.url}/${made.path_with_namespace}`;
  const forge = createForge({
    url,
    token: target.token,
    stateDir: join(dir, 'state'),
    callTimeout: 60_000,
    log: createLog('silent', 'test-gitlab'),
  });
  const clone = join(dir, 'clone');
  const git = gitWith(target.token, clone);
  const { signal } = new AbortController();
  const scene: Scene = {
    forge,
    signal,
    project: (method, path, body) => rest(method, `/projects/${made.id}${path}`, body),
    async push(branch, files, from = 'main') {
      await git('fetch', '-q', 'origin', from);
      await git('checkout', '-q', '-B', branch, 'FETCH_HEAD');
      for (const [file, text] of Object.entries(files)) await writeFile(join(clone, file), text);
      await git('add', '--all');
      await git('commit', '-q', '-m', `Change ${Object.keys(files).join(', ')}`);
      await git('push', '-q', 'origin', `HEAD:refs/heads/${branch}`);
      return git('rev-parse', 'HEAD');
    },
    async until(ask, good) {
      for (const limit = Date.now() + PATIENCE; ; ) {
        const answer = await ask();
        if (good(answer)) return answer;
        if (Date.now() > limit) throw new Error(`waited in vain, the last answer was ${JSON.stringify(answer)}`);
        await new Promise((next) => setTimeout(next, 200));
      }
    },
    async proposed(branch, files = { [`${branch}.txt`]: 'new\n' }) {
      const base = await scene.until(
        () => scene.tip('main'),
        (tip) => tip !== null,
      );
      const sha = await scene.push(branch, files);
      const proposal = {
        sourceBranch: branch,
        targetBranch: 'main',
        title: `Add ${branch}`,
        description: '',
        head: sha,
      };
      const { iid } = await forge.openMergeRequest({ ...proposal, within: PATIENCE }, signal);
      return { iid, sha, base: base ?? '' };
    },
    async checked(iid) {
      const { body } = await scene.until(
        () => scene.project('GET', `/merge_requests/${iid}`),
        ({ body: now }) => !['preparing', 'unchecked', 'checking'].includes(now.detailed_merge_status),
      );
      return body;
    },
    tip: (branch) => forge.branchTip(branch, signal),
  };
  await promisify(execFile)('git', ['init', '-q', clone]);
  await git('remote', 'add', 'origin', `${url}.git`);
  return scene;
}

/** git in a clone; the token is in its environment alone. */
function gitWith(token: string, cwd: string) {
  const env = {
    PATH: process.env.PATH ?? '',
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Indexwright',
    GIT_AUTHOR_EMAIL: 'indexwright@example.com',
    GIT_COMMITTER_NAME: 'Indexwright',
    GIT_COMMITTER_EMAIL: 'indexwright@example.com',
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${Buffer.from(`oauth2:${token}`).toString('base64')}`,
  };
  return async (...args: string[]) => (await promisify(execFile)('git', args, { cwd, env })).stdout.trim();
}

/** Listens for the hooks that are sent to `hookUrl`; gives what ends it. */
export async function receiveHooks(target: Target, received: (event: string, body: unknown) => void) {
  const { port, hostname } = new URL(target.hookUrl ?? '');
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(202).end();
      received(String(request.headers['x-gitlab-event']), JSON.parse(Buffer.concat(chunks).toString()));
    });
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    const host = hostname === '127.0.0.1' ? hostname : undefined;
    server.listen({ port: target.hookPort ?? Number(port), host }, listening);
  });
  return async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  };
}
