import { Failure } from '../../../src/errors/failure.ts';
import type { Forge } from '../../../src/forge/forge.ts';
import type { MergeRequest } from '../../../src/forge/merge-requests.ts';
import type { Cluster } from '../../../src/pipeline/cluster.ts';
import type { RegistryClient } from '../../../src/registry/client.ts';
import type { Outside, Prepared } from '../../../src/spine/delivery.ts';
import type { Plan } from '../../../src/spine/plan.ts';
import type { Touch } from './schedule.ts';

interface Commit {
  sha: string;
  /** The commit that this one takes back. */
  reverts?: string;
}

/** GitLab, the cluster and the registry as values, with what deliveries do to them. */
export class World {
  readonly tags = new Map<string, string>();
  readonly branches = new Map<string, Commit[]>();
  readonly mergeRequests: MergeRequest[] = [];
  readonly runs = new Map<string, 'running' | 'cancelled'>();
  /** Which job made which effect, in order. */
  readonly effects: { job: number; what: string }[] = [];
  #commits = 0;

  /** Commits on a branch that no other one there takes back. */
  standing(branch: string): string[] {
    const commits = this.branches.get(branch) ?? [];
    return commits
      .filter(({ sha, reverts }) => reverts === undefined && !commits.some((other) => other.reverts === sha))
      .map(({ sha }) => sha);
  }

  /** What others can see: tags, branches without their history, open merge requests. */
  photograph() {
    return {
      tags: Object.fromEntries([...this.tags].sort()),
      branches: Object.fromEntries([...this.branches.keys()].sort().map((name) => [name, this.standing(name)])),
      open: this.mergeRequests.filter(({ state }) => state === 'opened').length,
      running: [...this.runs.values()].filter((state) => state === 'running').length,
    };
  }

  newCommit(): string {
    this.#commits += 1;
    return `${this.#commits}`.padStart(40, '0');
  }
}

/** The image of a commit, and the index.db of a request, by digest. */
export const imageOf = (sha: string) => `sha256:${sha.padEnd(64, 'a')}`;
export const databaseOf = (head: string, request: number) => `sha256:${`${request}`.padStart(24, 'b')}${head}`;

/** What a job sees of the world: each call is a touch of the schedule. */
export function outsideOf(world: World, job: number, touch: Touch): Outside {
  const effect = <T>(what: string, work: () => T) =>
    touch('effect', () => {
      world.effects.push({ job, what });
      return work();
    });
  const read = <T>(work: () => T) => touch('read', work);
  const open = (branch: string) =>
    world.mergeRequests.find((mr) => mr.sourceBranch === branch && mr.state === 'opened');

  const forge: Partial<Forge> = {
    openMergeRequest: ({ sourceBranch, targetBranch }) =>
      effect('open', () => {
        const found = open(sourceBranch);
        if (found !== undefined) return found;
        const sha = world.branches.get(sourceBranch)?.at(-1)?.sha ?? null;
        if (sha === null) throw new Failure('gitlab_refused', 'the source branch does not exist');
        const iid = world.mergeRequests.length + 1;
        const made: MergeRequest = {
          iid,
          webUrl: `mr/${iid}`,
          state: 'opened',
          sha,
          sourceBranch,
          targetBranch,
          merged: null,
          mergeStatus: 'mergeable',
          mergeError: null,
        };
        world.mergeRequests.push(made);
        return made;
      }),
    mergeWhenReady: ({ iid, sha, targetBranch, base }) =>
      effect('merge', () => {
        const mr = world.mergeRequests[iid - 1];
        if (mr === undefined || mr.state === 'closed') throw new Failure('merge_request_closed', 'it is closed');
        if (mr.merged !== null) return mr.merged;
        const target = world.branches.get(targetBranch) ?? [];
        if (target.at(-1)?.sha !== base) throw new Failure('target_moved', 'the branch has moved');
        mr.state = 'merged';
        mr.merged = sha;
        target.push({ sha });
        // The branch remains: GitLab removes it later, or not at all.
        return sha;
      }),
    mergedCommit: ({ iid }) => read(() => world.mergeRequests[iid - 1]?.merged ?? null),
    closeMergeRequestOf: (branch) =>
      effect('close', () => {
        const found = open(branch);
        if (found !== undefined) found.state = 'closed';
      }),
    deleteBranch: (branch) => effect('delete branch', () => void world.branches.delete(branch)),
    revertMerge: ({ sha, branch }) =>
      effect('revert', () => {
        if (world.standing(branch).includes(sha))
          world.branches.get(branch)?.push({ sha: world.newCommit(), reverts: sha });
      }),
    standingCommits: ({ branch, head }) => read(() => world.standing(branch).filter((sha) => sha === head)),
  };
  const cluster: Partial<Cluster> = {
    findRun: ({ sha, appears }) =>
      read(() => {
        if (!world.runs.has(sha)) throw new Failure('pipeline_not_started', `no run within ${appears}`);
        return { name: `run-${sha}`, uid: sha, sha } as never;
      }),
    waitForEnd: (run) =>
      read(() => {
        if (world.runs.get(run.sha) === 'cancelled') throw new Failure('pipeline_failed', 'it was cancelled');
        world.runs.delete(run.sha);
        const digest = imageOf(run.sha);
        return { run, imageUrl: `reg.example.com/built/index:${run.sha}`, imageDigest: digest } as never;
      }),
    cancelRun: (run) => effect('cancel', () => void world.runs.delete(run.sha)),
    failureExcerpt: async () => null,
  };
  const registry: Partial<RegistryClient> = {
    digestOf: (tag) => read(() => world.tags.get(tag) ?? null),
    point: (tag, digest) => effect(`point ${tag}`, () => void world.tags.set(tag, digest)),
    removeTag: (tag) => effect(`remove ${tag}`, () => void world.tags.delete(tag)),
  };
  return {
    deadlines: { patience: 1, branchAppears: 1, runAppears: 1, runStarts: 1, runEnds: 1, merge: 1 },
    forge: forge as Forge,
    cluster: cluster as Cluster,
    registry: registry as RegistryClient,
    copy: (from, to) =>
      effect(`copy ${to}`, () => {
        if (!to.includes('@')) world.tags.set(to, from.split('@')[1] ?? '');
      }),
  };
}

/** The change of a delivery, made by a job: commits that only this job has. */
export function preparedBy(world: World, job: number, touch: Touch, plan: Plan): Prepared {
  const push = (what: string, work: () => void) =>
    touch('effect', () => {
      world.effects.push({ job, what });
      work();
    });
  const startRun = () => void (world.runs.has(plan.head) || world.runs.set(plan.head, 'running'));
  return {
    plan,
    refusals: [],
    pushBranch: () =>
      push('push', () => {
        world.branches.set(plan.sourceBranch, [{ sha: plan.base }, { sha: plan.head }]);
        startRun();
      }),
    pushOntoTarget: () =>
      push('push onto target', () => {
        const target = world.branches.get(plan.branch) ?? [];
        if (target.some(({ sha }) => sha === plan.head)) return;
        if (target.at(-1)?.sha !== plan.base) throw new Failure('target_moved', 'somebody was faster');
        target.push({ sha: plan.head });
        startRun();
      }),
    pushArtifact: ({ id, artifact }) =>
      touch('effect', () => {
        const digest = databaseOf(plan.head, id);
        world.effects.push({ job, what: 'push artifact' });
        if (artifact !== null) world.tags.set(artifact.own, digest);
        return digest;
      }),
    dispose: async () => {},
  };
}
