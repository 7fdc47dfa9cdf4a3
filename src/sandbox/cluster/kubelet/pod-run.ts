import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { asFailure, describe, Failure } from '../../../errors/failure.ts';
import { patiently } from '../../../errors/retry.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { PodLogs } from '../../kubernetes/logs.ts';
import type { Api } from './api.ts';
import { runContainer } from './container.ts';
import { environmentOf, Missing } from './environment.ts';
import { type ImageTable, imageFor, PATH } from './images.ts';
import { type Container, type ContainerStatus, NODE, type Pod, podPath } from './pod.ts';
import { accountToken, sourcesOf } from './sources.ts';
import { lastPhase, markRunning, markStarted, markTerminated, markWaiting, pendingStatus, Reporter } from './status.ts';
import { filesOf, projectionsOf, shownFiles, writeFiles } from './volumes.ts';

export interface Kubelet {
  api: Api;
  /** Private folder: `pods` and `claims` lie in it. */
  dir: string;
  images: ImageTable;
  logs: PodLogs;
  log: Log;
}

/** A pod this kubelet runs. */
export interface PodRun {
  /** What has become of the pod's object: new annotations, or a wish to be deleted. */
  update(pod: Pod): void;
  /** Ends what runs, without a word to the server. */
  kill(): void;
  /** Resolves when nothing of the pod runs any more and all is reported. */
  readonly done: Promise<void>;
}

const Anything = z.unknown();
/** The API server may be away for a while; what the pod does meanwhile is told afterwards. */
const SERVER = { total: 600_000, first: 100, longest: 2000 };
/** What a pod needs may still be made; a kubelet waits for it without end. */
const MISSING = { total: Number.POSITIVE_INFINITY, first: 250, longest: 2000 };

export const claimFolder = (dir: string, namespace: string, name: string) => join(dir, 'claims', namespace, name);

/** Writes a pod's status. @throws Failure `kubernetes_unavailable` after ten minutes, `kubernetes_denied` */
export async function reportStatus(api: Api, pod: Pod, status: object, signal: AbortSignal): Promise<void> {
  const options = { body: { metadata: { uid: pod.metadata.uid }, status }, type: 'application/merge-patch+json' };
  // Not there (404), or another pod of that name is (409, for the uid): nobody wants to know any more.
  const expected = [404, 409];
  await patiently(SERVER, signal, () => api.call('PATCH', podPath(pod, '/status'), Anything, { ...options, expected }));
}

/** Removes the object of a pod that has been asked to go and has ended. @throws Failure as `reportStatus` */
export async function removePod(api: Api, pod: Pod, signal: AbortSignal): Promise<void> {
  const body = { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } };
  await patiently(SERVER, signal, () =>
    api.call('DELETE', podPath(pod), Anything, { body, expected: [404, 409], signal }),
  );
}

/**
 * Takes a pod on: binds it to this node, fills its volumes, runs its init containers one after the other and then all
 * its containers at once, and reports (real-cluster.md §4).
 *
 * @param closing aborts when the kubelet stops; nothing is reported then
 */
export function runPod(kubelet: Kubelet, first: Pod, closing: AbortSignal): PodRun {
  const { api, log } = kubelet;
  let pod = first;
  const { uid, name } = first.metadata;
  const dir = join(kubelet.dir, 'pods', uid);
  const stopping = new AbortController();
  const stop = AbortSignal.any([stopping.signal, closing]);
  const status = pendingStatus(first);
  const reporter = new Reporter<typeof status>((next) => reportStatus(api, first, next, closing));
  const report = () => reporter.report(status);
  /** For reports nobody waits for: whoever reports next would meet the same trouble. */
  const mention = () => void report().catch((err: unknown) => closing.aborted || log.warn({ err, name }, 'status'));
  const sources = sourcesOf(api, first, stop);
  const volumes = new Map<string, string>();
  let refreshing = Promise.resolve();

  async function bind(): Promise<void> {
    const { metadata } = first;
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: metadata.name },
      target: { kind: 'Node', name: NODE },
    };
    // 409: it is bound, because the answer to an earlier attempt was lost.
    await patiently(SERVER, stop, () =>
      api.call('POST', podPath(first, '/binding'), Anything, { body, expected: [409], signal: stop }),
    );
  }

  async function fill(volume: Pod['spec']['volumes'][number]): Promise<void> {
    const { hostPath, persistentVolumeClaim } = volume;
    const folder =
      hostPath?.path ??
      (persistentVolumeClaim
        ? claimFolder(kubelet.dir, first.metadata.namespace, persistentVolumeClaim.claimName)
        : join(dir, 'volumes', volume.name));
    volumes.set(volume.name, folder);
    await mkdir(folder, { recursive: true });
    if (!projectionsOf(volume)) return;
    const token = (of: Parameters<typeof accountToken>[2]) => accountToken(api, first, of, stop);
    const files = await filesOf(volume, { pod, sources, token });
    await writeFiles(folder, join(dir, 'aside', 'first', volume.name), files);
  }

  /** What shows the pod is written anew. One after the other: two writers would take each other's drafts. */
  function refresh(): void {
    refreshing = refreshing.then(async () => {
      for (const volume of first.spec.volumes) {
        const [folder, files] = [volumes.get(volume.name), shownFiles(volume, pod)];
        if (folder === undefined || files.length === 0 || stop.aborted) continue;
        await writeFiles(folder, join(dir, 'aside', volume.name), files).catch((err: unknown) => {
          if (!stop.aborted) log.warn({ err, name }, 'a volume could not be written anew');
        });
      }
    });
  }

  async function whenPresent<T>(work: () => Promise<T>, tell: (missing: Missing) => void): Promise<T> {
    return patiently(
      MISSING,
      stop,
      async () => {
        try {
          return await work();
        } catch (cause) {
          if (!(cause instanceof Missing)) throw cause;
          throw new Failure('kubernetes_unavailable', cause.message, { cause });
        }
      },
      ({ cause }) => {
        if (cause instanceof Missing) tell(cause);
      },
    );
  }

  async function run(container: Container, state: ContainerStatus): Promise<number> {
    const image = imageFor(kubelet.images, container.image);
    const { hostname, port } = new URL(api.server);
    const given = {
      PATH,
      HOME: '/root',
      HOSTNAME: name,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      ...image.env,
    };
    const env = await whenPresent(
      () => environmentOf(container, pod, sources, given),
      ({ message }) => {
        markWaiting(state, 'CreateContainerConfigError', message);
        mention();
      },
    );
    const onStart = () => {
      markStarted(state);
      mention();
    };
    const place = { dir, uid, image, env, volumes, logs: kubelet.logs, signal: stop, onStart };
    const { exitCode, message } = await runContainer(container, place);
    markTerminated(state, exitCode, message);
    mention();
    return exitCode;
  }

  async function containers(): Promise<void> {
    const states = [...status.initContainerStatuses, ...status.containerStatuses];
    if (first.spec.nodeName === undefined) await bind();
    await report();
    for (const volume of first.spec.volumes) {
      await whenPresent(
        () => fill(volume),
        ({ message }) => {
          const text = `MountVolume.SetUp failed for volume "${volume.name}" : ${message}`;
          for (const state of states) markWaiting(state, 'ContainerCreating', text);
          mention();
        },
      );
    }
    // The pod may have changed while its volumes were filled.
    refresh();
    await refreshing;
    for (const [index, container] of first.spec.initContainers.entries()) {
      if ((await run(container, states[index] as ContainerStatus)) !== 0) return;
    }
    markRunning(status);
    const before = first.spec.initContainers.length;
    const ends = await Promise.allSettled(
      first.spec.containers.map((container, index) =>
        run(container, states[before + index] as ContainerStatus).catch((thrown: unknown) => {
          stopping.abort();
          throw thrown;
        }),
      ),
    );
    const failed = ends.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async function whole(): Promise<void> {
    try {
      await containers();
    } catch (err) {
      if (!isAbort(err)) {
        log.error({ err, name }, 'the pod could not be run');
        Object.assign(status, { reason: asFailure(err).code, message: describe(err) });
      }
    }
    stopping.abort();
    await refreshing;
    // Volumes hold credentials: they go with the last process.
    await rm(dir, { recursive: true, force: true });
    if (closing.aborted) return;
    status.phase = lastPhase(status);
    await report();
  }

  const done = whole().catch((err: unknown) => {
    if (!closing.aborted) log.error({ err, name }, 'the end of the pod could not be told');
  });

  let leaving = false;
  return {
    update(next) {
      pod = next;
      if (!stop.aborted) refresh();
      if (next.metadata.deletionTimestamp === undefined || leaving) return;
      leaving = true;
      stopping.abort();
      done
        .then(() => (closing.aborted ? undefined : removePod(api, next, closing)))
        .catch((err: unknown) => closing.aborted || log.error({ err, name }, 'the pod could not be removed'));
    },
    kill: () => stopping.abort(),
    done,
  };
}

const isAbort = (thrown: unknown) => thrown instanceof Error && thrown.name === 'AbortError';
