import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startGitLab } from '../../../src/sandbox/gitlab/server.ts';

/** An answer of the imitation, by the call it belongs to: method and path as the imitation's own routes name them. */
export interface Answered {
  call: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  body: any;
}

/** A hook the imitation has sent; `event` is its `X-Gitlab-Event`. */
export interface Hook {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: hooks of every shape
  body: any;
}

export interface Tour {
  answers: Answered[];
  hooks: Hook[];
}

const PROJECT = 'tours/catalog';

/** The routes of the imitation that answer JSON, as its sources name them. */
export function routesOfImitation(): string[] {
  const folder = resolve(import.meta.dirname, '../../../src/sandbox/gitlab');
  return readdirSync(folder).flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/route\('([A-Z]+)', '([^']+)'/g)]
      .map(([, method, path]) => `${method} ${path}`)
      .filter((call) => !call.endsWith('/raw')),
  );
}

let tour: Promise<Tour> | undefined;

/**
 * Every call that the imitation knows, with every field filled that it can fill, and what came back; made once for all
 * test files of a process. Not to be changed.
 */
export const tourOfGitLab = (): Promise<Tour> => (tour ??= makeTour());

async function makeTour(): Promise<Tour> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-tour-'));
  const gitlab = await startGitLab({ dir });
  const hooks: Hook[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      hooks.push({
        event: String(request.headers['x-gitlab-event']),
        body: JSON.parse(Buffer.concat(chunks).toString()),
      });
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening));
  try {
    const hookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const answers = await walk(gitlab, hookUrl);
    await gitlab.settled();
    return { answers, hooks };
  } finally {
    await gitlab.close();
    receiver.closeAllConnections();
    await new Promise((closed) => receiver.close(closed));
    await rm(dir, { recursive: true, force: true });
  }
}

async function walk(gitlab: Awaited<ReturnType<typeof startGitLab>>, hookUrl: string): Promise<Answered[]> {
  const answers: Answered[] = [];
  const walker = gitlab.createUser({ username: 'walker', name: 'A Walker', email: 'walker@example.com' });
  gitlab.createUser({ username: 'helper', name: 'A Helper', email: 'helper@example.com' });
  await gitlab.seedProject({
    path: PROJECT,
    files: { 'README.md': 'read me\n', 'a/old.txt': 'old\n' },
    protection: 'developers',
    members: { walker: 40 },
  });
  gitlab.addHook(PROJECT, { url: hookUrl, token: 'a-token-of-hooks' });

  /** A call as the imitation's routes name it; `as` are the parts of its path, `:id` is the project. */
  async function call(name: string, as: Record<string, string | number> = {}, sent?: unknown, token = walker.token) {
    const [method = '', template = ''] = name.split(' ');
    const parts: Record<string, string | number> = { id: PROJECT, ...as };
    const path = template.replace(/:([a-z_]+)/g, (_, part) => encodeURIComponent(parts[part] ?? ''));
    const query =
      method === 'GET' && sent ? `?${new URLSearchParams(sent as Record<string, string> | [string, string][])}` : '';
    const response = await fetch(`${gitlab.url}/api/v4${path}${query}`, {
      method,
      headers: { 'PRIVATE-TOKEN': token, 'Content-Type': 'application/json' },
      ...(method === 'GET' || sent === undefined ? {} : { body: JSON.stringify(sent) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${name}: ${response.status} ${text}`);
    const body = text === '' ? null : JSON.parse(text);
    answers.push({ call: name, body });
    return body;
  }
  const asRoot = (name: string, as: Record<string, string | number> = {}, sent?: unknown) =>
    call(name, as, sent, gitlab.adminToken);
  /** Asks again until the answer is good; the limit only ends a tour that hangs. */
  async function until<T>(ask: () => Promise<T>, good: (answer: T) => boolean): Promise<T> {
    for (const limit = Date.now() + 90_000; ; ) {
      const answer = await ask().catch((thrown: Error) => thrown);
      if (!(answer instanceof Error) && good(answer)) return answer;
      if (Date.now() > limit) throw answer instanceof Error ? answer : new Error(JSON.stringify(answer));
      await new Promise((next) => setTimeout(next, 20));
    }
  }

  await call('GET /version');
  await call('GET /metadata');
  await call('GET /user');
  const [helper] = await call('GET /users', {}, { username: 'helper' });
  await call('GET /users/:user_id', { user_id: helper.id });
  const third = await asRoot('POST /users', {}, { username: 'third', name: 'A Third', email: 'third@example.com' });
  const token = { name: 'a token', scopes: ['api'], expires_at: '2999-01-01' };
  await asRoot('POST /users/:user_id/personal_access_tokens', { user_id: third.id }, token);
  const issued = await asRoot('POST /users/:user_id/impersonation_tokens', { user_id: third.id }, token);
  await call('GET /personal_access_tokens');
  await call('GET /personal_access_tokens/self', {}, undefined, issued.token);
  await call('DELETE /personal_access_tokens/self', {}, undefined, issued.token);
  const other = await asRoot('POST /users/:user_id/personal_access_tokens', { user_id: third.id }, token);
  await asRoot('DELETE /personal_access_tokens/:token_id', { token_id: other.id });
  await call('POST /projects/:id/access_tokens', {}, { ...token, access_level: 30 });

  const group = await asRoot('POST /groups', {}, { name: 'Outer', path: 'outer' });
  await asRoot('POST /groups', {}, { name: 'Inner', path: 'inner', parent_id: group.id });
  await asRoot('GET /groups');
  await asRoot('GET /groups/:id', { id: 'outer/inner' });
  await asRoot('POST /groups/:id/members', { id: 'outer' }, { user_id: helper.id, access_level: 30 });
  await asRoot('PUT /groups/:id/members/:user_id', { id: 'outer', user_id: helper.id }, { access_level: 40 });
  await asRoot('DELETE /groups/:id/members/:user_id', { id: 'outer', user_id: helper.id });
  await asRoot('GET /namespaces');
  await asRoot('GET /namespaces/:id', { id: 'outer' });
  const made = await asRoot('POST /projects', {}, { name: 'Made', namespace_id: group.id, description: 'made' });
  await asRoot('GET /groups/:id/projects', { id: 'outer' });
  await asRoot('POST /projects/:id/archive', { id: made.id });
  await asRoot('DELETE /projects/:id', { id: made.id });
  await call('GET /projects');
  await call('PUT /projects/:id', {}, { description: 'toured', squash_option: 'default_on' });
  await call('GET /projects/:id');
  await call('POST /projects/:id/members', {}, { user_id: helper.id, access_level: 20 });
  await call('PUT /projects/:id/members/:user_id', { user_id: helper.id }, { access_level: 30 });
  await call('GET /projects/:id/members');
  await call('GET /projects/:id/members/all');
  await call('GET /projects/:id/members/all/:user_id', { user_id: helper.id });
  await call('GET /projects/:id/members/:user_id', { user_id: helper.id });

  const hook = { url: 'https://hooks.example.com', token: 'a-token-of-hooks', name: 'a hook', note_events: true };
  const { id: hook_id } = await call('POST /projects/:id/hooks', {}, hook);
  await call('PUT /projects/:id/hooks/:hook_id', { hook_id }, { ...hook, merge_requests_events: true });
  await call('GET /projects/:id/hooks/:hook_id', { hook_id });
  await call('GET /projects/:id/hooks');
  await call('DELETE /projects/:id/hooks/:hook_id', { hook_id });
  await call('POST /projects/:id/protected_branches', {}, { name: 'kept-*', push_access_level: 40 });
  await call('PATCH /projects/:id/protected_branches/:name', { name: 'kept-*' }, { allow_force_push: true });
  await call('GET /projects/:id/protected_branches/:name', { name: 'kept-*' });
  await call('GET /projects/:id/protected_branches');
  await call('DELETE /projects/:id/protected_branches/:name', { name: 'kept-*' });

  // Branches, commits, files.
  await call('POST /projects/:id/repository/branches', {}, { branch: 'side', ref: 'main' });
  await call('GET /projects/:id/repository/branches');
  await call('GET /projects/:id/repository/branches/:branch', { branch: 'side' });
  await call('DELETE /projects/:id/repository/branches/:branch', { branch: 'side' });
  const at = { file_path: 'b/new.txt' };
  const change = { branch: 'main', commit_message: 'Change a file' };
  await call('POST /projects/:id/repository/files/:file_path', at, { ...change, content: 'new\n' });
  await call('PUT /projects/:id/repository/files/:file_path', at, { ...change, content: 'newer\n' });
  await call('GET /projects/:id/repository/files/:file_path', at, { ref: 'main' });
  await call('DELETE /projects/:id/repository/files/:file_path', at, change);
  const commit = await call(
    'POST /projects/:id/repository/commits',
    {},
    {
      branch: 'change',
      start_branch: 'main',
      commit_message: 'Change two\n\nof them',
      actions: [
        { action: 'create', file_path: 'c.txt', content: 'c\n' },
        { action: 'move', file_path: 'a/new.txt', previous_path: 'a/old.txt' },
      ],
    },
  );
  const sha = { sha: commit.id };
  await call('GET /projects/:id/repository/commits', {}, { ref_name: 'change', with_stats: 'true' });
  await call('GET /projects/:id/repository/commits/:sha/diff', sha);
  await call('GET /projects/:id/repository/commits/:sha/refs', sha);
  await call('POST /projects/:id/repository/commits/:sha/comments', sha, { note: 'Well' });
  await call('GET /projects/:id/repository/commits/:sha/comments', sha);
  await call('GET /projects/:id/repository/tree', {}, { ref: 'change', recursive: 'true' });
  await call('GET /projects/:id/repository/compare', {}, { from: 'main', to: 'change' });
  await call('GET /projects/:id/repository/merge_base', {}, [
    ['refs[]', 'main'],
    ['refs[]', 'change'],
  ]);
  await call('POST /projects/:id/repository/tags', {}, { tag_name: 'v1', ref: 'main', message: 'first' });
  await call('GET /projects/:id/repository/tags/:tag', { tag: 'v1' });
  await call('GET /projects/:id/repository/tags');
  await call('DELETE /projects/:id/repository/tags/:tag', { tag: 'v1' });

  // A merge request from its opening to its end.
  const opening = { source_branch: 'change', target_branch: 'main', title: 'Change two', description: 'of them' };
  const people = { assignee_id: helper.id, reviewer_ids: [helper.id], labels: 'catalog' };
  const open = () => call('POST /projects/:id/merge_requests', {}, { ...opening, ...people });
  const { iid } = await until(open, () => true);
  const mr = { iid };
  const read = () => call('GET /projects/:id/merge_requests/:iid', mr);
  const settled = ({ detailed_merge_status }: { detailed_merge_status: string }) =>
    !['preparing', 'unchecked', 'checking'].includes(detailed_merge_status);
  for (const [state, description] of [
    ['running', 'is running'],
    ['success', 'has run'],
  ])
    await call('POST /projects/:id/statuses/:sha', sha, {
      state,
      description,
      name: 'build',
      target_url: 'https://ci.example.com/1',
      coverage: 12.5,
    });
  await call('GET /projects/:id/repository/commits/:sha/statuses', sha);
  // It has a pipeline now.
  await call('GET /projects/:id/repository/commits/:sha', sha);
  const [pipeline] = await call('GET /projects/:id/pipelines');
  await call('GET /projects/:id/pipelines/:pipeline_id', { pipeline_id: pipeline.id });
  await call('GET /projects/:id/merge_requests/:iid/pipelines', mr);
  await call('PUT /projects/:id/merge_requests/:iid', mr, { add_labels: 'second', discussion_locked: true });
  await call('GET /projects/:id/merge_requests', {}, { state: 'opened' });
  await call('GET /merge_requests', {}, { scope: 'all' });
  for (const part of ['diffs', 'changes', 'commits', 'participants'])
    await call(`GET /projects/:id/merge_requests/:iid/${part}`, mr);
  await call('GET /projects/:id/repository/commits/:sha/merge_requests', sha);
  await until(read, settled);
  await call('GET /projects/:id/merge_requests/:iid/merge_ref', mr);

  const note = await call('POST /projects/:id/merge_requests/:iid/notes', mr, { body: 'Good' });
  await call('PUT /projects/:id/merge_requests/:iid/notes/:note_id', { ...mr, note_id: note.id }, { body: 'Better' });
  await call('GET /projects/:id/merge_requests/:iid/notes/:note_id', { ...mr, note_id: note.id });
  await call('GET /projects/:id/merge_requests/:iid/notes', mr);
  await call('DELETE /projects/:id/merge_requests/:iid/notes/:note_id', { ...mr, note_id: note.id });
  const discussions = '/projects/:id/merge_requests/:iid/discussions';
  const thread = await call(`POST ${discussions}`, mr, { body: 'Why?' });
  const threaded = { ...mr, discussion_id: thread.id };
  await call(`POST ${discussions}/:discussion_id/notes`, threaded, { body: 'Because' });
  await call(`PUT ${discussions}/:discussion_id`, threaded, { resolved: true });
  await call(`GET ${discussions}/:discussion_id`, threaded);
  await call(`GET ${discussions}`, mr);

  await call('POST /projects/:id/repository/files/:file_path', { file_path: 'd.txt' }, { ...change, content: 'd\n' });
  await call('PUT /projects/:id/merge_requests/:iid/rebase', mr);
  const rebased = await until(read, (request) => settled(request) && request.sha !== commit.id);
  const merge = { sha: rebased.sha, squash: true, should_remove_source_branch: true };
  await until(
    () => call('PUT /projects/:id/merge_requests/:iid/merge', mr, merge),
    () => true,
  );
  const merged = await until(read, ({ state }) => state === 'merged');
  await call('POST /projects/:id/repository/commits/:sha/revert', { sha: merged.merge_commit_sha }, { branch: 'main' });
  await call(
    'POST /projects/:id/repository/commits/:sha/cherry_pick',
    { sha: merged.squash_commit_sha },
    { branch: 'main' },
  );

  // One that is set to merge by itself, taken back, closed, opened again and deleted.
  await call(
    'POST /projects/:id/repository/commits',
    {},
    {
      branch: 'second',
      start_branch: 'main',
      commit_message: 'Change again',
      actions: [{ action: 'create', file_path: 'e.txt', content: 'e\n' }],
    },
  );
  const again = { source_branch: 'second', target_branch: 'main', title: 'Draft: again' };
  const second = await until(
    () => call('POST /projects/:id/merge_requests', {}, again),
    () => true,
  );
  const mr2 = { iid: second.iid };
  const read2 = () => call('GET /projects/:id/merge_requests/:iid', mr2);
  await call('PUT /projects/:id/merge_requests/:iid', mr2, { title: 'Again' });
  await until(read2, settled);
  await call('POST /projects/:id/statuses/:sha', { sha: second.sha }, { state: 'running', name: 'build' });
  await until(
    () => call('PUT /projects/:id/merge_requests/:iid/merge', mr2, { auto_merge: true }),
    ({ merge_when_pipeline_succeeds }) => merge_when_pipeline_succeeds,
  );
  await call('POST /projects/:id/merge_requests/:iid/cancel_merge_when_pipeline_succeeds', mr2);
  for (const state_event of ['close', 'reopen'])
    await call('PUT /projects/:id/merge_requests/:iid', mr2, { state_event });
  await asRoot('DELETE /projects/:id/merge_requests/:iid', mr2);
  await call('DELETE /projects/:id/members/:user_id', { user_id: helper.id });
  return answers;
}
