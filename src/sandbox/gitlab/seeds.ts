import { findProject } from './call.ts';
import { createHook, type NewHook } from './hook-routes.ts';
import { setMember } from './members.ts';
import { createGroup, createProject, findGroup } from './projects.ts';
import { protectBranch } from './protected-branches.ts';
import type { Group, Hook, Project, User } from './records.ts';
import { type Files, startingCommit } from './starting-commit.ts';
import { createToken, createUser, type NewToken, type NewUser } from './users.ts';
import type { World } from './world.ts';

export interface SeedProject extends Partial<Pick<Project, Settings>> {
  /** Full path, e.g. `catalogs/stage/v4.15`; missing groups are made. */
  path: string;
  /** Contents by path, or a directory; no first commit when left out. */
  files?: Files;
  /** `main` when left out. */
  branch?: string;
  message?: string;
  /** Who may push to and merge into the branch: `maintainers` as GitLab does by itself, or `developers`. */
  protection?: 'maintainers' | 'developers' | 'none';
  /** User names with their access level (30 developer, 40 maintainer). */
  members?: Record<string, number>;
}

type Settings =
  | 'visibility'
  | 'merge_method'
  | 'squash_option'
  | 'only_allow_merge_if_pipeline_succeeds'
  | 'remove_source_branch_after_merge';

/** Short ways to what REST does too, for those who start the imitation in their own process. */
export interface Seeds {
  /** A user and a token for them (all scopes unless told otherwise). */
  createUser(wanted: NewUser & { token?: NewToken }): { id: number; username: string; token: string };
  /** A token more for a user. */
  createToken(username: string, wanted?: NewToken): string;
  /** Takes a token's power, as its expiry would. */
  revokeTokens(username: string): void;
  seedProject(wanted: SeedProject): Promise<{ id: number; path: string; url: string; sha: string | undefined }>;
  /** Adds a hook; all events unless told otherwise. */
  addHook(project: string, wanted: NewHook): { id: number };
  addMember(project: string, username: string, level: number): void;
}

/** The seeding verbs of a world. */
export function createSeeds(world: World): Seeds {
  const root = () => userNamed(world, 'root');
  return {
    createUser({ token, ...wanted }) {
      const user = createUser(world, wanted);
      return { id: user.id, username: user.username, token: createToken(world, user, token).value };
    },
    createToken: (username, wanted) => createToken(world, userNamed(world, username), wanted).value,
    revokeTokens(username) {
      const { id } = userNamed(world, username);
      for (const token of world.store.tokens.filter((each) => each.user_id === id)) {
        world.store.tokens.change(token, { revoked: true });
      }
    },
    async seedProject({
      path,
      files,
      branch = 'main',
      message,
      protection = 'maintainers',
      members = {},
      ...settings
    }) {
      const segments = path.split('/');
      const name = segments.pop() ?? path;
      const project = await createProject(world, root(), ensureGroups(world, root(), segments), {
        ...settings,
        path: name,
        initialize_with_readme: false,
      });
      const sha = files && (await startingCommit(world, project, root(), branch, files, message));
      if (protection !== 'maintainers') {
        for (const rule of world.store.protectedBranches.filter((each) => each.project_id === project.id)) {
          world.store.protectedBranches.remove(rule);
        }
      }
      if (protection === 'developers') protectBranch(world, project, { name: branch, push_level: 30, merge_level: 30 });
      for (const [username, level] of Object.entries(members)) {
        setMember(world, { source: 'project', source_id: project.id }, userNamed(world, username).id, level);
      }
      return { id: project.id, path, url: `${world.url}/${path}`, sha };
    },
    addHook(path, wanted): Pick<Hook, 'id'> {
      const everything = { push_events: true, tag_push_events: true, merge_requests_events: true, note_events: true };
      return { id: createHook(world, projectAt(world, path), { ...everything, ...wanted }).id };
    },
    addMember(path, username, level) {
      const where = { source: 'project', source_id: projectAt(world, path).id } as const;
      setMember(world, where, userNamed(world, username).id, level);
    },
  };
}

function userNamed(world: World, username: string): User {
  const user = world.store.users.find((each) => each.username === username);
  if (user === undefined) throw new Error(`no user ${username}`);
  return user;
}

function projectAt(world: World, path: string): Project {
  const project = findProject(world, path);
  if (project === undefined) throw new Error(`no project ${path}`);
  return project;
}

function ensureGroups(world: World, owner: User, segments: string[]): Group {
  let parent: Group | undefined;
  for (const segment of segments) {
    const full: string = parent === undefined ? segment : `${parent.full_path}/${segment}`;
    parent = findGroup(world, full) ?? createGroup(world, owner, { name: segment, path: segment, parent });
  }
  if (parent === undefined) throw new Error('a project lives in a group');
  return parent;
}
