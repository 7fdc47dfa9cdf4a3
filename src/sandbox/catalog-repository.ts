import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { run } from '../process/run.ts';
import { Anything, type Rest } from './rest.ts';

const Id = z.object({ id: z.number().int() });
const Project = Id.extend({ web_url: z.string(), default_branch: z.string().nullish() });

/** May push branches and merge into protected ones. */
const MAINTAINER = 40;

export interface CatalogProject {
  id: number;
  /** As people open it; with `.git` behind it, as git clones it. */
  webUrl: string;
}

/**
 * The GitLab project of a catalog, made when it is not there: members, and the web hook that tells Pipelines-as-Code
 * (konflux-and-gitlab.md §1.1). Safe to repeat.
 *
 * @param path `group/name`
 */
export async function ensureCatalogProject(
  gitlab: Rest,
  { path, members, hook }: { path: string; members: string[]; hook: { url: string; token: string } },
): Promise<CatalogProject> {
  const id = encodeURIComponent(path);
  const known = await gitlab('GET', `/projects/${id}`, Project).catch(() => undefined);
  if (known !== undefined) return { id: known.id, webUrl: known.web_url };

  const [group = '', name = ''] = path.split('/');
  const namespace = await gitlab('GET', `/groups/${encodeURIComponent(group)}`, Id).catch(() =>
    gitlab('POST', '/groups', Id, { name: group, path: group }),
  );
  const project = await gitlab('POST', '/projects', Project, { name, path: name, namespace_id: namespace.id });
  for (const username of members) {
    const [user] = await gitlab('GET', `/users?username=${encodeURIComponent(username)}`, z.array(Id));
    if (user === undefined) throw new Failure('process_failed', `GitLab has no user ${username}`);
    await gitlab('POST', `/projects/${project.id}/members`, Anything, { user_id: user.id, access_level: MAINTAINER });
  }
  await gitlab('POST', `/projects/${project.id}/hooks`, Anything, {
    url: hook.url,
    token: hook.token,
    push_events: true,
    merge_requests_events: true,
    note_events: true,
    tag_push_events: true,
  });
  return { id: project.id, webUrl: project.web_url };
}

/**
 * Pushes the files of a directory as one commit to a branch, on top of it if it exists.
 *
 * @param fill writes the branch's content into the given checkout
 * @returns the commit
 */
export async function pushBranchContent(
  project: CatalogProject,
  {
    branch,
    token,
    message,
    fill,
  }: { branch: string; token: string; message: string; fill: (dir: string) => Promise<void> },
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-catalog-'));
  const auth = Buffer.from(`oauth2:${token}`).toString('base64');
  const env = {
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `http.${project.webUrl}.git.extraHeader`,
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${auth}`,
    GIT_AUTHOR_NAME: 'Catalog owner',
    GIT_AUTHOR_EMAIL: 'owner@example.com',
    GIT_COMMITTER_NAME: 'Catalog owner',
    GIT_COMMITTER_EMAIL: 'owner@example.com',
  };
  const git = async (...args: string[]) => {
    const ran = await run('git', args, { cwd: dir, env, timeout: 120_000 });
    if (ran.exitCode !== 0) throw new Failure('process_failed', `git ${args[0]} failed: ${ran.stderr.trim()}`);
    return ran.stdout.trim();
  };
  try {
    await git('init', '-q', '-b', branch);
    await git('remote', 'add', 'origin', `${project.webUrl}.git`);
    if (await git('ls-remote', '--heads', 'origin', branch)) {
      await git('fetch', '-q', '--depth', '1', 'origin', branch);
      await git('reset', '-q', '--hard', 'FETCH_HEAD');
    }
    await fill(dir);
    await git('add', '--all', '--force', '.');
    await git('commit', '-q', '--allow-empty', '-m', message);
    await git('push', '-q', 'origin', `HEAD:refs/heads/${branch}`);
    return await git('rev-parse', 'HEAD');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
