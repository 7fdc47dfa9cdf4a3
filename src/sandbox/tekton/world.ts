import type { LimitFunction } from 'p-limit';
import type { Log } from '../../telemetry/log.ts';
import type { PodLogs } from '../kubernetes/logs.ts';
import type { KubeObject, Reference, Resource } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import type { Store } from '../kubernetes/store.ts';
import type { TektonFaults } from './faults.ts';

/** What everything in this folder works with. */
export interface World {
  store: Store;
  logs: PodLogs;
  log: Log;
  /** Volumes and the private directories of steps live here. */
  dir: string;
  /** Environment of every step: PATH and what the sandbox's owner adds. */
  env: Record<string, string>;
  /** Pods that run at a time; the others stay Pending, as on a full cluster. */
  places: LimitFunction;
  /** Aborted when the sandbox stops: from then on nothing is reported, the next start finds the run as it was. */
  closing: AbortSignal;
  faults: TektonFaults;
}

/** Edits an object if it still exists: a run may be deleted under the hands of its controller. */
export function report(
  { store, closing }: World,
  resource: Resource,
  reference: Reference,
  change: (copy: KubeObject) => void,
  part: 'object' | 'status' = 'status',
): void {
  if (closing.aborted) return;
  try {
    store.edit(resource, reference, change, { manager: 'tekton-pipelines-controller', part });
  } catch (thrown) {
    if (!(thrown instanceof Refusal && thrown.code === 404)) throw thrown;
  }
}
