import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { Anything, orNull, type Rest } from './rest.ts';

const Id = z.object({ id: z.number().int() });
const Project = Id.extend({ web_url: z.string() });
const Hook = Id.extend({ url: z.string() });

/** May push branches and merge into protected ones. */
const MAINTAINER = 40;

export interface Project {
  id: number;
  /** As people open it; with `.git` behind it, as git clones it. */
  webUrl: string;
}

export interface ProjectWanted {
  /** `group/name` or `group/sub/name` */
  path: string;
  /** User names that become Maintainers where they are not members yet. */
  members: string[];
  /** The web hook that tells Pipelines-as-Code; none where somebody else makes it. */
  hook?: { url: string; token: string };
}

/**
 * The GitLab project of a catalog with its groups, members and web hook, each made when it is not there and left as it is
 * otherwise; the hook's token is written anew (konflux-and-gitlab.md §1.1, §4). Safe to repeat.
 *
 * @param gitlab as somebody who may make the project: its group's Owner or Maintainer, or an administrator
 * @throws Failure `gitlab_refused` with GitLab's words, or when there is no user of a member's name
 */
export async function ensureProject(gitlab: Rest, { path, members, hook }: ProjectWanted): Promise<Project> {
  const known = await orNull(gitlab('GET', `/projects/${encodeURIComponent(path)}`, Project));
  const project = known ?? (await createProject(gitlab, path));
  for (const username of members) await ensureMember(gitlab, project.id, username);
  if (hook !== undefined) await ensureHook(gitlab, project.id, hook);
  return { id: project.id, webUrl: project.web_url };
}

async function createProject(gitlab: Rest, path: string) {
  const groups = path.split('/');
  const name = groups.pop() ?? '';
  let parent: number | undefined;
  for (const [at, group] of groups.entries()) {
    const full = groups.slice(0, at + 1).join('/');
    const known = await orNull(gitlab('GET', `/groups/${encodeURIComponent(full)}`, Id));
    const wanted = { name: group, path: group, ...(parent === undefined ? {} : { parent_id: parent }) };
    parent = (known ?? (await gitlab('POST', '/groups', Id, wanted))).id;
  }
  return gitlab('POST', '/projects', Project, { name, path: name, namespace_id: parent });
}

async function ensureMember(gitlab: Rest, project: number, username: string): Promise<void> {
  const [user] = await gitlab('GET', `/users?username=${encodeURIComponent(username)}`, z.array(Id));
  if (user === undefined) throw new Failure('gitlab_refused', `GitLab has no user ${username}`);
  if ((await orNull(gitlab('GET', `/projects/${project}/members/all/${user.id}`, Id))) !== null) return;
  await gitlab('POST', `/projects/${project}/members`, Anything, { user_id: user.id, access_level: MAINTAINER });
}

async function ensureHook(gitlab: Rest, project: number, { url, token }: { url: string; token: string }) {
  const hooks = await gitlab('GET', `/projects/${project}/hooks?per_page=100`, z.array(Hook));
  const known = hooks.find((hook) => hook.url === url);
  const wanted = {
    url,
    token,
    push_events: true,
    merge_requests_events: true,
    note_events: true,
    tag_push_events: true,
  };
  if (known === undefined) await gitlab('POST', `/projects/${project}/hooks`, Anything, wanted);
  else await gitlab('PUT', `/projects/${project}/hooks/${known.id}`, Anything, wanted);
}
