import type { Log } from '../../telemetry/log.ts';
import { type KubeObject, RESOURCES, timestamp } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import { referenceOf, type Store } from '../kubernetes/store.ts';
import type { PacFaults } from './faults.ts';
import { type CommitStatus, PacGitLab } from './gitlab.ts';
import { note } from './metadata.ts';
import type { Repository } from './repository.ts';

/** What everything in this folder works with. */
export interface Service {
  store: Store;
  log: Log;
  signal: AbortSignal;
  /** Name in front of ` / <template>` in commit statuses. */
  applicationName: string;
  /** Which release is imitated where they differ (real-cluster.md §5.3, §5.5). */
  release: '0.41' | '0.43';
  /** Where `target_url` of commit statuses leads. */
  consoleUrl: string;
  /** Milliseconds from the end of a run to its final status. */
  statusLag: number;
  faults: PacFaults;
  /** Runs by uid in the order in which they came to wait: creation times are whole seconds. */
  arrivals: Map<string, number>;
}

/** A commit with the places where its status may be said. */
export interface Subject {
  sourceProjectId: number;
  targetProjectId: number;
  sha: string;
  iid: number | undefined;
}

export const gitlabOf = ({ signal }: Service, { gitlabUrl, token }: Repository) =>
  new PacGitLab(gitlabUrl, token, signal);

/** The subject of a run, read from its annotations. */
export function subjectOf(run: KubeObject): Subject {
  const iid = note(run, 'pull-request');
  return {
    sourceProjectId: Number(note(run, 'source-project-id')),
    targetProjectId: Number(note(run, 'target-project-id')),
    sha: note(run, 'sha') ?? '',
    iid: iid === undefined ? undefined : Number(iid),
  };
}

/** Name of a status: with a template `Pipelines as Code CI / x`, without one the bare name, which carries errors. */
export const statusName = ({ applicationName }: Service, template: string | undefined) =>
  template === undefined ? applicationName : `${applicationName} / ${template}`;

/** Posts a status to the source project, else to the target project, else as a note (konflux-and-gitlab.md §1.7). */
export async function postStatus(
  service: Service,
  repository: Repository,
  { sourceProjectId, targetProjectId, sha, iid }: Subject,
  template: string | undefined,
  status: Pick<CommitStatus, 'state' | 'description'> & { run?: string },
): Promise<void> {
  const gitlab = gitlabOf(service, repository);
  const console = `${service.consoleUrl}/k8s/ns/${repository.namespace}`;
  const targetUrl = status.run === undefined ? console : `${console}/tekton.dev~v1~PipelineRun/${status.run}`;
  const whole = { ...status, name: statusName(service, template), targetUrl };
  if (await gitlab.postStatus(sourceProjectId, sha, whole)) return;
  if (sourceProjectId !== targetProjectId && (await gitlab.postStatus(targetProjectId, sha, whole))) return;
  if (iid !== undefined)
    await gitlab.note(targetProjectId, iid, `**${whole.name}**: ${status.state}: ${status.description}`);
}

/** What is wrong before there is a run is not said on the commit: it is in the log. */
export const FAILED = { state: 'failed', description: 'failed' } as const;

/** `pending` became `running` in 0.43 (real-cluster.md §5.5 point 1). */
export const waitingState = ({ release }: Service) => (release === '0.41' ? 'pending' : 'running');

/** Edits a run that may have gone meanwhile. */
export function editRun({ store, signal }: Service, run: KubeObject, change: (copy: KubeObject) => void): void {
  if (signal.aborted) return;
  try {
    store.edit(RESOURCES.pipelineruns, referenceOf(run), change, { manager: 'pipelines-as-code' });
  } catch (thrown) {
    if (!(thrown instanceof Refusal && thrown.code === 404)) throw thrown;
  }
}

/** A Kubernetes event upon the Repository: the only trace of most of what goes wrong (konflux-and-gitlab.md §1.1). */
export function emitEvent(
  { store, log, signal }: Service,
  repository: Repository,
  reason: string,
  message: string,
): void {
  log.info({ repository: repository.name, reason }, message);
  if (signal.aborted) return;
  store.create(RESOURCES.events, {
    metadata: { generateName: `${repository.name}-`, namespace: repository.namespace },
    involvedObject: {
      apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
      kind: 'Repository',
      name: repository.name,
      namespace: repository.namespace,
    },
    reason,
    message,
    type: /Error|Failed|Denied/.test(reason) ? 'Warning' : 'Normal',
    lastTimestamp: timestamp(),
  });
}

/** Annotations that come after the run has started. */
export const startedNotes = ({ consoleUrl }: Service, { namespace }: Repository, run: string) => ({
  'log-url': `${consoleUrl}/k8s/ns/${namespace}/tekton.dev~v1~PipelineRun/${run}`,
  'scm-reporting-plr-started': 'true',
});
