import assert from 'node:assert/strict';
import { GitLabFailure } from '../../../src/forge/gitlab.ts';
import { type Scene, Skip } from './scene.ts';

export interface Scenario {
  name: string;
  /** Of the project it is tried in. */
  settings?: object;
  /** Needs hooks to arrive. */
  hooks?: true;
  /** Throws where GitLab does not do what the service relies on, `Skip` where it cannot be tried. */
  run(scene: Scene, hooks: ReadonlyArray<{ event: string; body: Record<string, unknown> }>): Promise<void>;
}

/** Milliseconds a merge may take; post-receive work of a busy installation is waited for. */
const WITHIN = 180_000;

/** What `work` fails with. */
async function failure(work: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await work;
  } catch (thrown) {
    return thrown as Error;
  }
  throw new assert.AssertionError({ message: 'it was not refused' });
}

const mergeOf = ({ forge, signal }: Scene, mr: { iid: number; sha: string; base: string }) =>
  forge.mergeWhenReady({ ...mr, targetBranch: 'main', within: WITHIN, signal });

/** Protects a branch for everybody; the starting rule of GitLab is taken away first. */
async function protect({ project }: Scene, name: string, levels: object): Promise<void> {
  await project('DELETE', `/protected_branches/${encodeURIComponent(name)}`);
  const { status } = await project('POST', '/protected_branches', { name, ...levels });
  assert.equal(status, 201);
}

const NOBODY = { push_access_level: 0, merge_access_level: 0 };

/** What the service relies on, each in a project of its own. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a branch is pushed and its merge request opened at once',
    async run(scene) {
      const { iid, sha } = await scene.proposed('change');
      const now = await scene.checked(iid);
      assert.deepEqual([now.state, now.sha, now.detailed_merge_status], ['opened', sha, 'mergeable']);
    },
  },
  {
    name: 'a second merge request of a branch is refused and names the first',
    async run(scene) {
      const { iid, sha } = await scene.proposed('change');
      const again = { source_branch: 'change', target_branch: 'main', title: 'Again' };
      const { status, body } = await scene.project('POST', '/merge_requests', again);
      assert.equal(status, 409);
      assert.match(JSON.stringify(body), new RegExp(`!${iid}"`));
      const proposal = { sourceBranch: 'change', targetBranch: 'main', title: 'Adopted', description: '', head: sha };
      assert.equal((await scene.forge.openMergeRequest({ ...proposal, within: WITHIN }, scene.signal)).iid, iid);
    },
  },
  {
    name: 'a merge is guarded by the commit, merges, and removes the branch',
    async run(scene) {
      const mr = await scene.proposed('change');
      await scene.checked(mr.iid);
      const guarded = await scene.project('PUT', `/merge_requests/${mr.iid}/merge`, { sha: mr.base });
      assert.equal(guarded.status, 409);
      const merged = await mergeOf(scene, mr);
      assert.equal(
        await scene.until(
          () => scene.tip('main'),
          (tip) => tip !== mr.base,
        ),
        merged,
      );
      assert.equal(await scene.forge.mergedCommit(mr, scene.signal), merged);
      await scene.until(
        () => scene.tip('change'),
        (tip) => tip === null,
      );
      assert.equal((await scene.project('PUT', `/merge_requests/${mr.iid}/merge`)).status, 405);
    },
  },
  {
    name: 'a merge that conflicts is refused',
    async run(scene) {
      const mr = await scene.proposed('change', { 'README.md': 'ours\n' });
      await scene.push('main', { 'README.md': 'theirs\n' });
      await scene.until(
        () => scene.checked(mr.iid),
        ({ detailed_merge_status: status }) => status === 'conflict',
      );
      const { status } = await scene.project('PUT', `/merge_requests/${mr.iid}/merge`, { sha: mr.sha });
      assert.ok([405, 406, 422].includes(status), `answered ${status}`);
      assert.equal((await failure(mergeOf(scene, mr))).code, 'target_moved');
    },
  },
  {
    name: 'a fast-forward project asks for a rebase',
    settings: { merge_method: 'ff' },
    async run(scene) {
      const mr = await scene.proposed('change');
      await scene.push('main', { 'other.txt': 'theirs\n' });
      await scene.until(
        () => scene.checked(mr.iid),
        ({ detailed_merge_status: status }) => status === 'need_rebase',
      );
      const { status } = await scene.project('PUT', `/merge_requests/${mr.iid}/merge`, { sha: mr.sha });
      assert.ok([405, 406, 422].includes(status), `answered ${status}`);
      assert.equal((await failure(mergeOf(scene, mr))).code, 'target_moved');
    },
  },
  ...['merge', 'rebase_merge', 'ff'].flatMap((method) =>
    ['never', 'default_on', 'always'].map(
      (squash): Scenario => ({
        name: `merge method ${method}, squash ${squash}: the merged commit is the branch's tip, and can be reverted`,
        settings: { merge_method: method, squash_option: squash },
        async run(scene) {
          const mr = await scene.proposed('change');
          const merged = await mergeOf(scene, mr);
          assert.equal(
            await scene.until(
              () => scene.tip('main'),
              (tip) => tip !== mr.base,
            ),
            merged,
          );
          await scene.project('GET', '/repository/commits?ref_name=main');
          await scene.forge.revertMerge({ sha: merged, branch: 'main' }, scene.signal);
          const gone = await scene.project('GET', '/repository/files/change.txt?ref=main');
          assert.equal(gone.status, 404);
        },
      }),
    ),
  ),
  {
    name: 'a commit is reverted once, and a second time there is nothing left to revert',
    async run(scene) {
      const mr = await scene.proposed('change');
      const merged = await mergeOf(scene, mr);
      await scene.forge.revertMerge({ sha: merged, branch: 'main' }, scene.signal);
      const tip = await scene.until(
        () => scene.tip('main'),
        (now) => now !== merged,
      );
      const again = await scene.project('POST', `/repository/commits/${merged}/revert`, { branch: 'main' });
      assert.deepEqual([again.status, again.body.error_code], [400, 'empty']);
      await scene.forge.revertMerge({ sha: merged, branch: 'main' }, scene.signal);
      assert.equal(await scene.tip('main'), tip);
      await scene.project('GET', `/repository/commits/${tip}`);
    },
  },
  {
    name: 'a revert that conflicts is refused',
    async run(scene) {
      const mr = await scene.proposed('change', { 'README.md': 'ours\n' });
      const merged = await mergeOf(scene, mr);
      await scene.push('main', { 'README.md': 'later\n' });
      const refused = await failure(scene.forge.revertMerge({ sha: merged, branch: 'main' }, scene.signal));
      assert.ok(refused instanceof GitLabFailure);
      assert.deepEqual([refused.status, refused.errorCode], [400, 'conflict']);
    },
  },
  {
    name: 'a protected branch takes no push and no merge',
    async run(scene) {
      const mr = await scene.proposed('change');
      await scene.checked(mr.iid);
      await protect(scene, 'main', NOBODY);
      const pushed = await failure(scene.push('main', { 'direct.txt': 'pushed\n' }));
      assert.match(pushed.message, /not allowed to push code to protected branches/);
      assert.equal((await failure(mergeOf(scene, mr))).code, 'merge_refused');
      await scene.project('POST', '/repository/branches', { branch: 'kept', ref: 'change' });
      await protect(scene, 'kept', NOBODY);
      // Versions and roles differ in whether it is deleted; the answer is recorded.
      await scene.project('DELETE', '/repository/branches/kept');
    },
  },
  {
    name: 'a push and a merge that a push rule declines say so',
    async run(scene) {
      const rule = { commit_message_regex: '^Change ' };
      const { status } = await scene.project('POST', '/push_rule', rule);
      if (status !== 201) throw new Skip(`this GitLab has no push rules (${status})`);
      const mr = await scene.proposed('change');
      await scene.checked(mr.iid);
      await scene.project('PUT', '/push_rule', { commit_message_regex: '^Nothing has this title$' });
      const pushed = await failure(scene.push('other', { 'other.txt': 'new\n' }));
      assert.match(pushed.message, /pre-receive hook declined/);
      await scene.project('PUT', `/merge_requests/${mr.iid}/merge`, { sha: mr.sha });
      const { body } = await scene.project('GET', `/merge_requests/${mr.iid}`);
      if (body.state === 'merged') throw new Skip('push rules do not hold for merges here');
      assert.equal((await failure(mergeOf(scene, mr))).code, 'merge_refused');
    },
  },
  {
    name: 'branches are deleted once; a merge request is closed, and deleted with its branch',
    async run(scene) {
      const mr = await scene.proposed('change');
      await scene.forge.closeMergeRequestOf('change', scene.signal);
      await scene.forge.deleteBranch('change', scene.signal);
      assert.equal(
        await scene.until(
          () => scene.tip('change'),
          (tip) => tip === null,
        ),
        null,
      );
      assert.equal((await scene.project('DELETE', '/repository/branches/change')).status, 404);
      assert.equal((await scene.project('GET', `/merge_requests/${mr.iid}`)).body.state, 'closed');
      await scene.forge.closeMergeRequestOf('change', scene.signal);
    },
  },
  {
    name: 'a commit gets statuses, and none twice',
    async run(scene) {
      const { sha } = await scene.proposed('change');
      const post = (state: string) => scene.project('POST', `/statuses/${sha}`, { state, name: 'build' });
      for (const state of ['pending', 'running']) assert.equal((await post(state)).status, 201);
      const again = await post('running');
      assert.equal(again.status, 400);
      assert.match(JSON.stringify(again.body), /Cannot transition status/);
      assert.equal((await post('success')).status, 201);
      const [status] = await scene.forge.commitStatuses(sha, scene.signal);
      assert.deepEqual([status?.name, status?.status], ['build', 'success']);
    },
  },
  {
    name: 'what is not there is told by 404',
    async run({ project }) {
      const paths = ['/repository/branches/nowhere', '/merge_requests/999', `/repository/commits/${'1'.repeat(40)}`];
      for (const path of paths) assert.equal((await project('GET', path)).status, 404, path);
      const nowhere = { source_branch: 'nowhere', target_branch: 'main', title: 'No' };
      const { status } = await project('POST', '/merge_requests', nowhere);
      assert.ok([400, 409, 422].includes(status), `answered ${status}`);
    },
  },
  {
    name: 'hooks of a push, a merge request and a comment arrive',
    hooks: true,
    async run(scene, hooks) {
      const arrived = (event: string, good: (body: Record<string, unknown>) => boolean = () => true) =>
        scene.until(
          async () => hooks.filter((hook) => hook.event === event && good(hook.body)),
          (found) => found.length > 0,
        );
      const mr = await scene.proposed('change');
      await arrived('Push Hook', ({ ref, after }) => ref === 'refs/heads/change' && after === mr.sha);
      await arrived('Merge Request Hook');
      await scene.project('POST', `/merge_requests/${mr.iid}/notes`, { body: 'A comment' });
      await arrived('Note Hook');
      await mergeOf(scene, mr);
      await arrived('Push Hook', ({ ref }) => ref === 'refs/heads/main');
      await arrived('Push Hook', ({ after }) => after === '0'.repeat(40));
    },
  },
];
