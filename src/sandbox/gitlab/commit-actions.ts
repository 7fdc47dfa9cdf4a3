import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DEVELOPER, mayPush } from './access.ts';
import { type Call, caller, projectFor, type Route, route, take } from './call.ts';
import { commitOfPath, singleCommitView } from './commits.ts';
import type { RefMove } from './events.ts';
import { branchTip, commitOf, commitTree, GitRefused, git, gitText, mergeTrees, NO_COMMIT } from './git.ts';
import { type Commit, readCommit } from './history.ts';
import { flag, parse, text } from './params.ts';
import { moveAndTell } from './push-queue.ts';
import type { MergeRequest, Project, User } from './records.ts';
import { refusal } from './refusals.ts';
import { created, forbidden, noContent, ok, refuse, refuseInput } from './reply.ts';
import { commitView } from './views.ts';
import { repositoryOf, type World } from './world.ts';

const Action = z.object({
  action: z.enum(['create', 'update', 'delete', 'move', 'chmod']),
  file_path: text,
  previous_path: text.optional(),
  content: z.string().nullish(),
  encoding: z.enum(['text', 'base64']).default('text'),
  last_commit_id: text.nullish(),
  execute_filemode: flag.optional(),
});
type Action = z.infer<typeof Action>;

const NewCommit = z.object({
  branch: text,
  commit_message: text,
  actions: z.array(Action).default([]),
  start_branch: text.optional(),
  start_sha: text.optional(),
  author_name: text.optional(),
  author_email: text.optional(),
  stats: flag.default(true),
  force: flag.default(false),
});
type NewCommit = z.infer<typeof NewCommit>;

interface Entry {
  mode: string;
  blob: string;
}

/** Where the new commit begins and what the branch must still be at when it is moved. */
async function findStart(repository: string, project: Project, wanted: NewCommit) {
  const tip = await branchTip(repository, wanted.branch);
  if (wanted.start_branch !== undefined && wanted.start_sha !== undefined) {
    throw refuseInput(400, 'start_branch, start_sha are mutually exclusive');
  }
  const named = wanted.start_branch ?? wanted.start_sha;
  if (named === undefined) {
    if (tip === undefined && project.default_branch !== null) {
      throw refuse(400, 'You can only create or edit files when you are on a branch');
    }
    return { from: tip ?? NO_COMMIT, parent: tip };
  }
  // As in GitLab: a new branch from there, or the branch itself when that is where it begins.
  if (tip !== undefined && !wanted.force && named !== wanted.branch) {
    throw refuse(
      400,
      `A branch called '${wanted.branch}' already exists. Switch to that branch in order to make changes`,
    );
  }
  const parent = await commitOf(repository, wanted.start_branch === undefined ? named : `refs/heads/${named}`);
  if (parent === undefined) {
    throw refuse(
      400,
      wanted.start_sha === undefined ? `Cannot find branch '${named}'` : `Cannot find start_sha '${named}'`,
    );
  }
  return { from: tip ?? NO_COMMIT, parent };
}

async function readEntry(repository: string, parent: string | undefined, path: string): Promise<Entry | undefined> {
  if (parent === undefined) return undefined;
  const line = await gitText(repository, ['ls-tree', '-z', parent, '--', path]);
  const [meta = '', name] = line.replace(/\0.*$/s, '').split('\t');
  const [mode = '', type, blob = ''] = meta.split(' ');
  return type === 'blob' && name === path ? { mode, blob } : undefined;
}

async function checkUnchanged(
  repository: string,
  parent: string | undefined,
  action: Action,
  path: string,
): Promise<void> {
  const { last_commit_id: seen } = action;
  if (seen === undefined || seen === null || parent === undefined) return;
  const { stdout } = await git(repository, ['rev-list', '-1', parent, '--', path]);
  if (stdout.toString().trim() !== seen) {
    throw refuse(400, 'You are attempting to update a file that has changed since you started editing it.');
  }
}

function checkPath(path: string): void {
  const bad =
    path === '' || path.split('/').some((part) => part === '..' || part === '.' || part === '' || part === '.git');
  if (bad) throw refuse(400, `invalid path: ${path}`);
}

/** Applies the actions one after the other and gives the lines for `git update-index --index-info`. */
async function applyActions(repository: string, parent: string | undefined, actions: Action[]): Promise<string[]> {
  const changed = new Map<string, Entry | undefined>();
  const entryAt = async (path: string) => (changed.has(path) ? changed.get(path) : readEntry(repository, parent, path));
  const write = (action: Action) =>
    gitText(repository, ['hash-object', '-w', '--stdin'], {
      input: Buffer.from(action.content ?? '', action.encoding === 'base64' ? 'base64' : 'utf8'),
    });
  for (const action of actions) {
    const { file_path: path } = action;
    checkPath(path);
    const before = await entryAt(path);
    switch (action.action) {
      case 'create':
        if (before !== undefined) throw refuse(400, 'A file with this name already exists');
        changed.set(path, { mode: action.execute_filemode === true ? '100755' : '100644', blob: await write(action) });
        break;
      case 'update':
        if (before === undefined) throw refuse(400, "A file with this name doesn't exist");
        await checkUnchanged(repository, parent, action, path);
        changed.set(path, { mode: before.mode, blob: await write(action) });
        break;
      case 'delete':
        if (before === undefined) throw refuse(400, "A file with this name doesn't exist");
        await checkUnchanged(repository, parent, action, path);
        changed.set(path, undefined);
        break;
      case 'move': {
        const source = action.previous_path ?? '';
        const moved = await entryAt(source);
        if (moved === undefined) throw refuse(400, "A file with this name doesn't exist");
        if (before !== undefined) throw refuse(400, 'A file with this name already exists');
        await checkUnchanged(repository, parent, action, source);
        changed.set(source, undefined);
        changed.set(path, action.content == null ? moved : { mode: moved.mode, blob: await write(action) });
        break;
      }
      case 'chmod':
        if (before === undefined) throw refuse(400, "A file with this name doesn't exist");
        changed.set(path, { mode: action.execute_filemode === true ? '100755' : '100644', blob: before.blob });
        break;
    }
  }
  return [...changed].map(([path, entry]) =>
    entry === undefined ? `0 ${NO_COMMIT}\t${path}` : `${entry.mode} ${entry.blob}\t${path}`,
  );
}

/** The tree of the parent with the lines applied, made in an index of its own. */
async function treeWith(repository: string, parent: string | undefined, lines: string[]): Promise<string> {
  const env = { GIT_INDEX_FILE: join(repository, `index-${randomUUID()}`) };
  try {
    await gitText(repository, ['read-tree', ...(parent === undefined ? ['--empty'] : [parent])], { env });
    await gitText(repository, ['update-index', '-z', '--index-info'], {
      env,
      input: lines.map((line) => `${line}\0`).join(''),
    });
    return await gitText(repository, ['write-tree'], { env });
  } finally {
    await rm(env.GIT_INDEX_FILE, { force: true });
  }
}

/** Makes one commit of all actions and gives its SHA. @throws Refused 400 for what does not fit, 403 */
async function commitActions(call: Call, project: Project, wanted: NewCommit): Promise<string> {
  const { world } = call;
  const user = caller(call);
  if (!mayPush(world, user, project, wanted.branch)) throw forbidden('You are not allowed to push into this branch');
  const repository = repositoryOf(world, project);
  return world.alone(project, async () => {
    const { from, parent } = await findStart(repository, project, wanted);
    const lines = await applyActions(repository, parent, wanted.actions);
    const tree = await treeWith(repository, parent, lines);
    const to = await commitTree(repository, {
      tree,
      parents: parent === undefined ? [] : [parent],
      message: wanted.commit_message,
      author: { name: wanted.author_name ?? user.name, email: wanted.author_email ?? user.email },
      committer: person(user),
    });
    await moveChecked(world, project, user, { ref: `refs/heads/${wanted.branch}`, from, to });
    return to;
  });
}

async function commit(call: Call) {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const wanted = take(call, NewCommit);
  const made = await readCommit(repositoryOf(world, project), await commitActions(call, project, wanted));
  return created(await singleCommitView(world, project, made, wanted.stats ? 'stats' : 'plain'));
}

/** The one-file form of the same: `POST`, `PUT`, `DELETE …/repository/files/:path`. */
async function changeFile(call: Call, action: 'create' | 'update' | 'delete') {
  const project = projectFor(call, DEVELOPER);
  const file_path = call.path.file_path ?? '';
  const actions = [{ ...call.params, action, file_path }];
  const wanted = parse(NewCommit, { ...call.params, actions });
  await commitActions(call, project, wanted);
  return { file_path, branch: wanted.branch };
}

/** @throws Refused 400 when the branch was pushed to meanwhile */
async function moveChecked(world: World, project: Project, user: User, move: RefMove): Promise<void> {
  try {
    await moveAndTell(world, project, user, [move]);
  } catch (thrown) {
    if (thrown instanceof GitRefused) throw refuse(400, `Could not update ${move.ref}. Please refresh and try again.`);
    throw thrown;
  }
}

/** Takes a commit's changes back on a branch, or repeats them there. */
async function replayOnto(call: Call, kind: 'revert' | 'cherry-pick') {
  const { world } = call;
  const project = projectFor(call, DEVELOPER);
  const user = caller(call);
  const wanted = take(call, z.object({ branch: text, dry_run: flag.default(false), message: text.optional() }));
  if (!mayPush(world, user, project, wanted.branch)) throw refusal(world, 'revert-forbidden');
  const repository = repositoryOf(world, project);
  const source = await commitOfPath(call, project);
  const made = await world.alone(project, async () => {
    const from = await branchTip(repository, wanted.branch);
    if (from === undefined) throw refuse(400, 'Branch does not exist');
    // A merge commit is taken back against its first parent: what it brought to the target.
    const [parent] = source.parent_ids;
    if (parent === undefined) throw refuse(400, `Sorry, we cannot ${kind} this commit automatically.`);
    const [base, theirs] = kind === 'revert' ? [source.id, parent] : [parent, source.id];
    const merged = await mergeTrees(repository, from, theirs, base);
    const failure = (code: 'empty' | 'conflict') => refusal(world, `revert-${code}`, { kind });
    if ('conflicts' in merged) throw failure('conflict');
    if (merged.tree === (await gitText(repository, ['rev-parse', `${from}^{tree}`]))) throw failure('empty');
    if (wanted.dry_run) return undefined;
    const to = await commitTree(repository, {
      tree: merged.tree,
      parents: [from],
      message: wanted.message ?? replayMessage(kind, source, mergedBy(world, project, source)),
      author: kind === 'revert' ? person(user) : source.author,
      committer: person(user),
    });
    const move = { ref: `refs/heads/${wanted.branch}`, from, to };
    await moveChecked(world, project, user, move);
    return to;
  });
  if (made === undefined) return { status: 200, body: { dry_run: 'success' } };
  return created(commitView(world, project, await readCommit(repository, made)));
}

const person = (user: User) => ({ name: user.name, email: user.email });

/** The merge request a merge commit comes from: reverts of it name the request and not the commit. */
function mergedBy(world: World, project: Project, commit: Commit): MergeRequest | undefined {
  if (commit.parent_ids.length < 2) return undefined;
  return world.store.mergeRequests.find(
    (request) => request.project_id === project.id && request.merge_commit_sha === commit.id,
  );
}

function replayMessage(kind: 'revert' | 'cherry-pick', commit: Commit, request: MergeRequest | undefined): string {
  if (kind === 'cherry-pick') return `${commit.message}\n\n(cherry picked from commit ${commit.id})`;
  const what = request === undefined ? `commit ${commit.id}` : `merge request !${request.iid}`;
  return `Revert "${commit.title}"\n\nThis reverts ${what}`;
}

/** Writing commits without a clone (konflux-and-gitlab.md §4.2). */
export const commitActionRoutes: Route[] = [
  route('POST', '/projects/:id/repository/commits', commit),
  route('POST', '/projects/:id/repository/commits/:sha/revert', (call) => replayOnto(call, 'revert')),
  route('POST', '/projects/:id/repository/commits/:sha/cherry_pick', (call) => replayOnto(call, 'cherry-pick')),
  route('POST', '/projects/:id/repository/files/:file_path', async (call) => created(await changeFile(call, 'create'))),
  route('PUT', '/projects/:id/repository/files/:file_path', async (call) => ok(await changeFile(call, 'update'))),
  route('DELETE', '/projects/:id/repository/files/:file_path', async (call) => {
    await changeFile(call, 'delete');
    return noContent();
  }),
];
