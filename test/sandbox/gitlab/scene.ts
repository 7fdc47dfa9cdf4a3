import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { SeedProject } from '../../../src/sandbox/gitlab/seeds.ts';
import { type GitLabOptions, startGitLab } from '../../../src/sandbox/gitlab/server.ts';

const runFile = promisify(execFile);

export interface Answer {
  status: number;
  headers: Headers;
  // Answers of many shapes; tests say what they expect of them.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  body: any;
}

/** What tests that are not about it need not wait for; `settled` waits for the pushes. */
const QUIET: Partial<GitLabOptions> = { pushDelay: { from: 0, to: 100, seed: 1 }, doubt: 0 };

/** A GitLab with one project, a developer `bot` in it, and ways to speak to it. Everything ends with the test. */
export async function scene(settings: Partial<SeedProject> = {}, options: Partial<GitLabOptions> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'gitlab-'));
  const gitlab = await startGitLab({ dir: join(dir, 'server'), ...QUIET, ...options });
  onTestFinished(async () => {
    await gitlab.close();
    await rm(dir, { recursive: true, force: true });
  });
  const bot = gitlab.createUser({ username: 'bot', name: 'Catalog Bot', email: 'bot@example.com' });
  const path = 'catalogs/stage/index';
  const project = await gitlab.seedProject({
    path,
    files: { 'configs/a/catalog.yaml': 'a: 1\n', 'configs/b/catalog.yaml': 'b: 1\n', 'README.md': 'read me\n' },
    protection: 'developers',
    members: { bot: 30 },
    ...settings,
  });
  const at = `/projects/${encodeURIComponent(path)}`;
  const api = caller(gitlab.url, bot.token);
  const root = caller(gitlab.url, gitlab.adminToken);
  const remote = `${gitlab.url}/${path}.git`;
  const git = gitFor(bot.token);

  /** Commits files on a branch through the API; a new branch starts at `from`. */
  async function commit(branch: string, files: Record<string, string>, from?: string): Promise<string> {
    const { body, status } = await api('POST', `${at}/repository/commits`, {
      branch,
      ...(from === undefined ? {} : { start_branch: from }),
      commit_message: `change ${Object.keys(files).join(', ')}`,
      actions: await Promise.all(
        Object.entries(files).map(async ([file, content]) => {
          const seen = await api('HEAD', `${at}/repository/files/${encodeURIComponent(file)}?ref=${from ?? branch}`);
          return { action: seen.status === 200 ? 'update' : 'create', file_path: file, content };
        }),
      ),
    });
    if (status !== 201) throw new Error(JSON.stringify(body));
    return body.id;
  }

  /** Opens a merge request for a branch and gives its number. */
  async function open(source: string, more: Record<string, unknown> = {}): Promise<number> {
    const { body } = await api('POST', `${at}/merge_requests`, {
      source_branch: source,
      target_branch: 'main',
      title: `Merge ${source}`,
      ...more,
    });
    return body.iid;
  }

  const request = async (iid: number) => (await api('GET', `${at}/merge_requests/${iid}`)).body;

  /** The merge request once nothing is under way any more. */
  async function checked(iid: number) {
    await gitlab.settled();
    await request(iid);
    await gitlab.settled();
    return request(iid);
  }

  const merge = (iid: number, how: Record<string, unknown> = {}) =>
    api('PUT', `${at}/merge_requests/${iid}/merge`, how);
  /** What REST says once all pushes are processed. */
  const tip = async (branch: string): Promise<string> => {
    await gitlab.settled();
    return (await api('GET', `${at}/repository/branches/${encodeURIComponent(branch)}`)).body.commit?.id;
  };

  return { dir, gitlab, bot, project, path, at, api, root, remote, git, commit, open, request, checked, merge, tip };
}

/** A REST client with a token; bodies that are not JSON come as text. */
export function caller(url: string, token: string | undefined) {
  return async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}/api/v4${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { 'PRIVATE-TOKEN': token }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.startsWith('application/json') === true && text !== '';
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text };
  };
}

const CREDENTIALS = '!f() { echo username=git; echo "password=$GITLAB_TOKEN"; }; f';

/** git that gives a token when the server asks for one. Gives what it printed, on both streams; throws when it fails. */
export function gitFor(token: string) {
  return async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await runFile('git', args, {
      env: {
        PATH: process.env.PATH ?? '',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_TERMINAL_PROMPT: '0',
        GIT_AUTHOR_NAME: 'A Person',
        GIT_AUTHOR_EMAIL: 'person@example.com',
        GIT_COMMITTER_NAME: 'A Person',
        GIT_COMMITTER_EMAIL: 'person@example.com',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'credential.helper',
        GIT_CONFIG_VALUE_0: CREDENTIALS,
        GITLAB_TOKEN: token,
      },
    });
    return stdout + stderr;
  };
}

/** Writes a file into a clone and commits it. */
export async function commitFile(git: ReturnType<typeof gitFor>, clone: string, file: string, content: string) {
  await writeFile(join(clone, file), content);
  await git('-C', clone, 'add', '.');
  await git('-C', clone, 'commit', '--quiet', '-m', `write ${file}`);
  return (await git('-C', clone, 'rev-parse', 'HEAD')).trim();
}

export interface Received {
  headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: hooks of many shapes
  body: any;
}

/** A receiver of hooks; `next` waits for one that matches and has not been given before. */
export async function receiver() {
  const waiting: Received[] = [];
  let wake = () => {};
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      waiting.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
      response.writeHead(202).end();
      wake();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    waiting,
    async next(event: string, matches: (body: Received['body']) => boolean = () => true): Promise<Received> {
      for (;;) {
        const at = waiting.findIndex((each) => each.headers['x-gitlab-event'] === event && matches(each.body));
        if (at >= 0) return waiting.splice(at, 1)[0] as Received;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
