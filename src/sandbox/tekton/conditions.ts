import { type KubeObject, timestamp } from '../kubernetes/object.ts';
import { type Condition, RunStatus } from './schema.ts';

/** What a run or task run is at: konflux-and-gitlab.md §2.2. */
export interface Verdict {
  status: Condition['status'];
  reason: string;
  message: string;
}

/** Why running steps are stopped. */
export type Interruption =
  | 'cancelled'
  | 'cancelled gracefully'
  | 'pipeline timeout'
  | 'tasks timeout'
  | 'task timeout'
  | 'deleted'
  | 'shutdown';

/** The condition of type `Succeeded`, wherever it stands in the list. */
export function succeeded(object: KubeObject): Condition | undefined {
  return RunStatus.parse(object.status ?? {}).conditions.find(({ type }) => type === 'Succeeded');
}

export function isDone(object: KubeObject): boolean {
  const condition = succeeded(object);
  return condition !== undefined && condition.status !== 'Unknown';
}

/** Puts the verdict into an object's status; the transition time moves with the status only, as Knative does it. */
export function judge(object: KubeObject, verdict: Verdict): void {
  const before = succeeded(object);
  const lastTransitionTime =
    before?.status === verdict.status && before.lastTransitionTime ? before.lastTransitionTime : timestamp();
  object.status = {
    ...(object.status as Record<string, unknown> | undefined),
    conditions: [{ type: 'Succeeded', ...verdict, lastTransitionTime }],
  };
}

export interface Tally {
  succeeded: number;
  failed: number;
  cancelled: number;
  skipped: number;
  incomplete: number;
}

/** Tekton's one-line summary, e.g. `Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1`. */
export function summary({ succeeded, failed, cancelled, skipped, incomplete }: Tally): string {
  const completed = `Tasks Completed: ${succeeded + failed + cancelled} (Failed: ${failed}, Cancelled ${cancelled})`;
  return `${completed}${incomplete > 0 ? `, Incomplete: ${incomplete}` : ''}, Skipped: ${skipped}`;
}
