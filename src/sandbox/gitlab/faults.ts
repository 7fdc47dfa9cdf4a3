import type { CallFault } from './call-fault.ts';
import { type RandomFault, randomFaults } from './random-faults.ts';
import type { Project } from './records.ts';
import { CALLS, findRefusal } from './refusals.ts';
import type { Release } from './release.ts';

export interface ProjectFault {
  /** The project's full path; all projects when left out. */
  project?: string;
  times?: number;
}

export interface MergeRefusal extends ProjectFault {
  /** 401, 405, 406, 409, 422 … */
  status: number;
  message?: unknown;
}

/** A fault that was injected: how often it has struck so far, and a way to take it back. */
export interface Injected {
  readonly hits: number;
  /** Resolves when it strikes for the first time. */
  readonly struck: Promise<void>;
  remove(): void;
}

interface Armed<F> {
  fault: F;
  seen: number;
  hits: number;
  strike(): void;
}

/** One sort of fault: the armed ones in the order they were injected. */
function faultList<F extends { times?: number; skip?: number }>() {
  let armed: Armed<F>[] = [];
  return {
    inject(fault: F): Injected {
      const { promise, resolve } = Promise.withResolvers<void>();
      const entry: Armed<F> = { fault, seen: 0, hits: 0, strike: resolve };
      armed.push(entry);
      return {
        get hits() {
          return entry.hits;
        },
        struck: promise,
        remove() {
          armed = armed.filter((other) => other !== entry);
        },
      };
    },
    /** The first armed fault that matches, counted as a strike; used up ones are gone. */
    take(matches: (fault: F) => boolean): F | undefined {
      for (const entry of armed) {
        if (entry.hits >= (entry.fault.times ?? 1) || !matches(entry.fault)) continue;
        entry.seen += 1;
        if (entry.seen <= (entry.fault.skip ?? 0)) continue;
        entry.hits += 1;
        entry.strike();
        return entry.fault;
      }
      return undefined;
    },
    clear() {
      armed = [];
    },
  };
}

/** Everything that can be made to go wrong (konflux-and-gitlab.md §6.2: 1, 10-16, 21). */
export interface Faults {
  /** A REST or git call is answered, delayed or cut, before or after it takes effect. */
  call(fault: CallFault): Injected;
  /** Hooks are lost on the way; `event` is the header, e.g. `Merge Request Hook`. */
  dropHooks(fault?: ProjectFault & { event?: string }): Injected;
  /** Hooks are sent twice, as a queue that delivers at least once does. */
  repeatHooks(fault?: ProjectFault & { event?: string }): Injected;
  /** `PUT …/merge` is refused. */
  refuseMerge(fault: MergeRefusal): Injected;
  /**
   * A refusal of the table (refusals.ts) instead of what the call would do; a merge is run and fails where the row says so.
   * `values` fills in what the row leaves open.
   */
  refuse(fault: ProjectFault & { refusal: string; values?: Record<string, string | number>; skip?: number }): Injected;
  /** Pushes are declined by the server's hook: `remote: GitLab: <message>`. */
  refusePush(fault: ProjectFault & { message: string }): Injected;
  /** Merge requests stay `checking` until the fault is removed. */
  stuckMergeability(fault?: ProjectFault): Injected;
  /** Merged without telling: `merge_commit_sha` and `squash_commit_sha` stay null. */
  hideMergeShas(fault?: ProjectFault): Injected;
  /**
   * A share of all calls, from 0 to 1, goes wrong as calls of a busy GitLab do: 429 with and without `Retry-After`, a
   * proxy's 502 in HTML, maintenance, a read-only repository, connections that are cut, before and after the effect. The
   * same seed gives the same sequence.
   */
  random(fault: { seed: number; share: number }): Injected;
  /** Takes all faults back. */
  clear(): void;
}

export interface FaultTaker {
  call(method: string, path: string, search: string): CallFault | undefined;
  hook(project: Project, event: string): 'drop' | 'repeat' | undefined;
  mergeRefusal(project: Project): MergeRefusal | undefined;
  pushRefusal(project: Project): string | undefined;
  /** What `merge_error` becomes, when the merge is to be run and fail. */
  mergeError(project: Project): string | undefined;
  stuck(project: Project): boolean;
  hiddenMergeShas(project: Project): boolean;
}

/** The two sides of fault injection: tests inject, the server takes. `released` is told when a stuck check may go on. */
export function createFaults(release: Release, released: () => void): { faults: Faults; taker: FaultTaker } {
  const calls = faultList<CallFault>();
  const drops = faultList<ProjectFault & { event?: string }>();
  const repeats = faultList<ProjectFault & { event?: string }>();
  const refusals = faultList<MergeRefusal>();
  const pushes = faultList<ProjectFault & { message: string }>();
  let unrest: { next: RandomFault; hits: number; strike(): void } | undefined;
  const merges = faultList<ProjectFault & { reason: string }>();
  const stuck = faultList<ProjectFault>();
  const hidden = faultList<ProjectFault>();
  const of =
    (project: Project) =>
    (fault: ProjectFault): boolean =>
      fault.project === undefined || fault.project === project.path_with_namespace;
  const hook = (project: Project, event: string) => (fault: ProjectFault & { event?: string }) =>
    of(project)(fault) && (fault.event === undefined || fault.event === event);

  return {
    faults: {
      call: calls.inject,
      dropHooks: (fault = {}) => drops.inject({ times: Number.POSITIVE_INFINITY, ...fault }),
      repeatHooks: (fault = {}) => repeats.inject({ times: Number.POSITIVE_INFINITY, ...fault }),
      refuseMerge: (fault) => refusals.inject(fault),
      refuse({ refusal, values, ...fault }) {
        const { call, answer } = findRefusal(release, refusal, values);
        if ('declined' in answer) return pushes.inject({ ...fault, message: answer.declined });
        if ('mergeError' in answer) return merges.inject({ ...fault, reason: answer.mergeError });
        return calls.inject({ times: fault.times ?? 1, skip: fault.skip ?? 0, ...CALLS[call], answer });
      },
      random({ seed, share }) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const mine = { next: randomFaults(release, seed, share), hits: 0, strike: resolve };
        unrest = mine;
        return {
          get hits() {
            return mine.hits;
          },
          struck: promise,
          remove() {
            if (unrest === mine) unrest = undefined;
          },
        };
      },
      refusePush: pushes.inject,
      stuckMergeability(fault = {}) {
        const injected = stuck.inject({ ...fault, times: Number.POSITIVE_INFINITY });
        return {
          get hits() {
            return injected.hits;
          },
          struck: injected.struck,
          remove() {
            injected.remove();
            released();
          },
        };
      },
      hideMergeShas: (fault = {}) => hidden.inject(fault),
      clear() {
        for (const kind of [calls, drops, repeats, refusals, pushes, merges, stuck, hidden]) kind.clear();
        unrest = undefined;
        released();
      },
    },
    taker: {
      call(method, path, search) {
        const injected = calls.take(
          (fault) =>
            (fault.method === undefined || fault.method === method) &&
            (fault.path.test(path) || fault.path.test(path + search)),
        );
        const fault = injected ?? unrest?.next(method, path + search);
        if (injected === undefined && fault !== undefined && unrest !== undefined) {
          unrest.hits += 1;
          unrest.strike();
        }
        return fault;
      },
      hook(project, event) {
        if (drops.take(hook(project, event))) return 'drop';
        return repeats.take(hook(project, event)) ? 'repeat' : undefined;
      },
      mergeRefusal: (project) => refusals.take(of(project)),
      pushRefusal: (project) => pushes.take(of(project))?.message,
      mergeError: (project) => merges.take(of(project))?.reason,
      stuck: (project) => stuck.take(of(project)) !== undefined,
      hiddenMergeShas: (project) => hidden.take(of(project)) !== undefined,
    },
  };
}
