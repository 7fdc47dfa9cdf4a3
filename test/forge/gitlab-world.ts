import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createForge, type Forge } from '../../src/forge/forge.ts';
import type { MergeRequest } from '../../src/forge/merge-requests.ts';
import type { Workspace } from '../../src/forge/workspace.ts';
import type { SeedProject } from '../../src/sandbox/gitlab/seeds.ts';
import { type GitLab, type GitLabOptions, startGitLab } from '../../src/sandbox/gitlab/server.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { AUTHOR, catalogFiles } from './catalog-repository.ts';

export const PROJECT = 'catalogs/stage/redhat';
export const TARGET = 'v4.19';
export const SOURCE = 'iib-request-1-v4.19';

export interface GitLabWorld {
  gitlab: GitLab;
  forge: Forge;
  token: string;
  signal: AbortSignal;
  forgeWith(options?: { token?: string; url?: string; callTimeout?: number }): Forge;
  /** Calls the REST API as the administrator: what people do. The path goes on after the project. */
  human(method: string, path: string, body?: object): Promise<unknown>;
  /** A commit on a branch by somebody else; gives its id. */
  humanCommits(branch: string, path?: string): Promise<string>;
  /** A change of one commit on the target's tip, not pushed. */
  changed(): Promise<Workspace>;
  /** A pushed change, one commit on the target's tip. */
  pushed(): Promise<Workspace>;
  /** A pushed change with its open merge request. */
  proposed(): Promise<{ workspace: Workspace; mr: MergeRequest; merge(within?: number): Promise<string> }>;
  openMergeRequests(): Promise<unknown[]>;
}

/** What tests that are not about it need not wait for. */
const QUIET: Partial<GitLabOptions> = { pushDelay: { from: 0, to: 100, seed: 1 }, doubt: 0 };

/** The imitation of GitLab with one catalog project, and a forge on it with a developer's token; all ends with the test. */
export async function gitlabWorld(
  project: Partial<SeedProject> = {},
  options: Partial<GitLabOptions> = {},
): Promise<GitLabWorld> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-gitlab-'));
  const gitlab = await startGitLab({ dir: join(dir, 'gitlab'), ...QUIET, ...options });
  onTestFinished(async () => {
    await gitlab.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const { token } = gitlab.createUser({ username: 'indexwright', name: 'Indexwright', email: AUTHOR.email });
  await gitlab.seedProject({
    path: PROJECT,
    branch: TARGET,
    files: catalogFiles(['etcd', 'quay']),
    protection: 'none',
    members: { indexwright: 40 },
    ...project,
  });
  const signal = new AbortController().signal;
  const forgeWith: GitLabWorld['forgeWith'] = (options = {}) =>
    createForge({
      url: `${gitlab.url}/${PROJECT}`,
      token,
      stateDir: join(dir, 'state'),
      callTimeout: 10_000,
      log: createLog('silent', 'test'),
      ...options,
    });
  const forge = forgeWith();
  let count = 0;
  const world: GitLabWorld = {
    gitlab,
    forge,
    token,
    signal,
    forgeWith,
    async human(method, path, body) {
      const response = await fetch(`${gitlab.url}/api/v4/projects/${encodeURIComponent(PROJECT)}${path}`, {
        method,
        headers: { 'private-token': gitlab.adminToken, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return response.status === 204 ? null : await response.json();
    },
    async humanCommits(branch, path = `theirs-${++count}.txt`) {
      const actions = [{ action: 'create', file_path: path, content: `${count}\n` }];
      const made = await world.human('POST', '/repository/commits', { branch, commit_message: 'theirs', actions });
      return (made as { id: string }).id;
    },
    async changed() {
      const workspace = await forge.openWorkspace({ branch: TARGET, dir: join(dir, `ws-${++count}`) }, signal);
      writeFileSync(join(workspace.dir, '.iib-build-metadata.json'), `{"request_id": ${count}}\n`);
      await workspace.commit({ message: 'IIB: Add bundles for request 1', author: AUTHOR }, signal);
      return workspace;
    },
    async pushed() {
      const workspace = await world.changed();
      await workspace.push(SOURCE, signal);
      return workspace;
    },
    async proposed() {
      const workspace = await world.pushed();
      const mr = await forge.openMergeRequest(proposal(workspace), signal);
      const { iid } = mr;
      const [sha, base] = [workspace.head(), workspace.base];
      const merge = (within = 20_000) => forge.mergeWhenReady({ iid, sha, targetBranch: TARGET, base, within, signal });
      return { workspace, mr, merge };
    },
    openMergeRequests: async () => (await world.human('GET', '/merge_requests?state=opened')) as unknown[],
  };
  return world;
}

/** A proposal of what was pushed; GitLab has 20 seconds to know the branch. */
export const proposal = (pushed: Workspace, description = 'What changes') => ({
  sourceBranch: SOURCE,
  head: pushed.head(),
  within: 20_000,
  targetBranch: TARGET,
  title: 'IIB: Update for request id 1',
  description,
});
