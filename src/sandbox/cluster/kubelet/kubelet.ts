import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { patiently } from '../../../errors/retry.ts';
import type { Log } from '../../../telemetry/log.ts';
import { PodLogs } from '../../kubernetes/logs.ts';
import { connectNode } from './api.ts';
import { Claim, claimFollower } from './claims.ts';
import { type ImageTable, withScripts } from './images.ts';
import { startLogServer } from './log-server.ts';
import { registerNode } from './node.ts';
import { isOver, Pod } from './pod.ts';
import { type Kubelet, type PodRun, removePod, reportStatus, runPod } from './pod-run.ts';
import { lostStatus } from './status.ts';
import { type Follower, follow } from './watch.ts';

export interface KubeletOptions {
  /** Base URL of the API server. */
  server: string;
  /** PEM of the authority that signed the API server's certificate. */
  ca: string;
  /** Bearer token of an account that may do everything a node does. */
  token: string;
  /** Private folder: volumes, claims, logs, the log server's certificate. */
  dir: string;
  images: ImageTable;
  /** Port of the log server on loopback; 0 or absent: any free port. */
  port?: number;
  log: Log;
}

/** How long the API server may take to be there when the kubelet starts. Milliseconds. */
const START = { total: 60_000, first: 100, longest: 1000 };

/**
 * Starts a kubelet without containers: one node, whose pods are processes of this machine under bubblewrap, with folders
 * of this machine for images (real-cluster.md §4). It also does the scheduler's work: every pod is bound to its node.
 *
 * Pods that an earlier kubelet has started are declared lost and not started again.
 *
 * @returns a handle that ends everything; the pods of a kubelet that has been closed are lost to the next one
 * @throws Failure `process_failed` (no certificate), `kubernetes_unavailable` after a minute, `kubernetes_denied`
 */
export async function startKubelet(options: KubeletOptions): Promise<{ close(): Promise<void> }> {
  const { dir, log, port = 0 } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await rm(join(dir, 'pods'), { recursive: true, force: true });
  const api = connectNode(options);
  const logs = new PodLogs(join(dir, 'logs'));
  const images = await withScripts(options.images, join(dir, 'scripts'));
  const closing = new AbortController();
  const { signal } = closing;
  const pods = new PodKeeper({ api, dir, images, logs, log }, signal);
  const logServer = await startLogServer({ dir, port, logs, uidOf: (...of) => pods.uidOf(...of) });
  try {
    await patiently(START, signal, () => registerNode(api, logServer.port));
  } catch (thrown) {
    await logServer.close();
    await api.close();
    throw thrown;
  }
  const loops = [
    follow(api, '/api/v1/pods', Pod, pods, { signal, log }),
    follow(api, '/api/v1/persistentvolumeclaims', Claim, claimFollower({ api, dir, log }), { signal, log }),
  ];
  for (const loop of loops) loop.catch((err: unknown) => log.error({ err }, 'a watch has ended for good'));
  return {
    async close() {
      closing.abort();
      await Promise.allSettled(loops);
      await pods.done();
      await logServer.close();
      await api.close();
    },
  };
}

/** All pods of the node, by uid: those that run here, and those that only have logs. */
class PodKeeper implements Follower<Pod> {
  readonly #kubelet: Kubelet;
  readonly #closing: AbortSignal;
  readonly #known = new Map<string, { pod: Pod; run: PodRun | undefined }>();

  constructor(kubelet: Kubelet, closing: AbortSignal) {
    this.#kubelet = kubelet;
    this.#closing = closing;
  }

  listed(all: Pod[]): void {
    const there = new Set(all.map(({ metadata }) => metadata.uid));
    for (const { pod } of [...this.#known.values()]) if (!there.has(pod.metadata.uid)) this.deleted(pod);
    for (const pod of all) this.changed(pod);
  }

  changed(pod: Pod): void {
    const { uid } = pod.metadata;
    const known = this.#known.get(uid);
    if (known) {
      known.pod = pod;
      known.run?.update(pod);
      return;
    }
    const bound = pod.spec.nodeName !== undefined;
    const run = bound || isOver(pod) ? undefined : runPod(this.#kubelet, pod, this.#closing);
    this.#known.set(uid, { pod, run });
    if (bound && !isOver(pod)) void this.#lose(pod);
  }

  deleted({ metadata: { uid } }: Pod): void {
    const known = this.#known.get(uid);
    this.#known.delete(uid);
    known?.run?.kill();
    const forget = () => this.#kubelet.logs.forget(uid);
    if (known?.run) known.run.done.then(forget, forget);
    else forget();
  }

  uidOf(namespace: string, name: string): string | undefined {
    return [...this.#known].find(
      ([, { pod }]) => pod.metadata.namespace === namespace && pod.metadata.name === name,
    )?.[0];
  }

  async done(): Promise<void> {
    await Promise.allSettled([...this.#known.values()].map(({ run }) => run?.done));
  }

  async #lose(pod: Pod): Promise<void> {
    const { api, log } = this.#kubelet;
    try {
      await reportStatus(api, pod, lostStatus(pod), this.#closing);
      if (pod.metadata.deletionTimestamp !== undefined) await removePod(api, pod, this.#closing);
    } catch (err) {
      if (!this.#closing.aborted) log.error({ err, pod: pod.metadata.name }, 'a lost pod could not be reported');
    }
  }
}
