import { randomUUID } from 'node:crypto';
import { timestamp } from '../../kubernetes/object.ts';
import type { Container, ContainerStatus, Pod } from './pod.ts';

type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export interface PodStatus {
  phase: Phase;
  reason?: string;
  message?: string;
  startTime: string;
  hostIP: string;
  podIP: string;
  conditions: { type: string; status: 'True'; lastTransitionTime: string }[];
  initContainerStatuses: ContainerStatus[];
  containerStatuses: ContainerStatus[];
}

/** Bytes a container may say at its end; Tekton's results travel here. */
const MESSAGE_LIMIT = 4096;

function waiting({ name, image }: Container): ContainerStatus {
  return {
    name,
    image,
    imageID: `sandbox://${image}`,
    containerID: `sandbox://${randomUUID()}`,
    ready: false,
    started: false,
    restartCount: 0,
    state: { waiting: { reason: 'PodInitializing' } },
  };
}

/** The status of a pod of which nothing runs yet. */
export function pendingStatus({ spec }: Pod): PodStatus {
  return {
    phase: 'Pending',
    startTime: timestamp(),
    hostIP: '127.0.0.1',
    podIP: '127.0.0.1',
    conditions: conditions('PodScheduled'),
    initContainerStatuses: spec.initContainers.map(waiting),
    containerStatuses: spec.containers.map(waiting),
  };
}

const conditions = (...types: string[]) =>
  types.map((type) => ({ type, status: 'True' as const, lastTransitionTime: timestamp() }));

/** All init containers are over and all containers are about to start. */
export function markRunning(status: PodStatus): void {
  status.phase = 'Running';
  status.conditions = conditions('PodScheduled', 'Initialized', 'ContainersReady', 'Ready');
}

/** A container cannot start yet; the pod goes on trying. */
export function markWaiting(status: ContainerStatus, reason: string, message: string): void {
  status.state = { waiting: { reason, message } };
}

export function markStarted(status: ContainerStatus): void {
  Object.assign(status, { ready: true, started: true, state: { running: { startedAt: timestamp() } } });
}

/** @param message what the container wrote to its termination message path */
export function markTerminated(status: ContainerStatus, exitCode: number, message: Buffer): void {
  const startedAt = status.state.running?.startedAt ?? timestamp();
  const said = message.subarray(0, MESSAGE_LIMIT).toString();
  Object.assign(status, {
    ready: false,
    started: false,
    state: {
      terminated: {
        exitCode,
        reason: exitCode === 0 ? 'Completed' : 'Error',
        startedAt,
        finishedAt: timestamp(),
        ...(status.containerID === undefined ? {} : { containerID: status.containerID }),
        ...(said === '' ? {} : { message: said }),
      },
    },
  });
}

/** What the pod's phase is once none of its containers runs any more. */
export function lastPhase({ containerStatuses }: PodStatus): Phase {
  const good = containerStatuses.length > 0 && containerStatuses.every(({ state }) => state.terminated?.exitCode === 0);
  return good ? 'Succeeded' : 'Failed';
}

/**
 * The end of a pod that an earlier kubelet started: its processes died with it and are not started again. What has
 * ended stays as it is, because the server takes no ended container back.
 */
export function lostStatus({ status }: Pod) {
  const end = (container: ContainerStatus): ContainerStatus => {
    if (container.state.terminated) return container;
    const startedAt = container.state.running?.startedAt ?? timestamp();
    const terminated = { exitCode: 137, reason: 'NodeLost', startedAt, finishedAt: timestamp() };
    return { ...container, ready: false, started: false, state: { terminated } };
  };
  return {
    phase: 'Failed' as const,
    reason: 'NodeLost',
    message: 'The node was restarted while the pod ran.',
    initContainerStatuses: (status.initContainerStatuses ?? []).map(end),
    containerStatuses: (status.containerStatuses ?? []).map(end),
  };
}

/** Sends the newest status; while one is under way, those between are left out. */
export class Reporter<T> {
  readonly #send: (status: T) => Promise<void>;
  #waiting: T | undefined;
  #under: Promise<void> | undefined;

  constructor(send: (status: T) => Promise<void>) {
    this.#send = send;
  }

  /** Resolves when a status at least as new as this one has arrived. */
  async report(status: T): Promise<void> {
    this.#waiting = structuredClone(status);
    this.#under ??= this.#run();
    await this.#under;
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting !== undefined) {
        const next = this.#waiting;
        this.#waiting = undefined;
        await this.#send(next);
      }
    } finally {
      this.#under = undefined;
    }
  }
}
