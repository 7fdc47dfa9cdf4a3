import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { isDone } from '../tekton/conditions.ts';
import { isOurs, label, note, PAC, prefixed } from './metadata.ts';
import type { Repository } from './repository.ts';
import { editRun, postStatus, type Service, startedNotes, subjectOf, waitingState } from './service.ts';

const pending = ({ spec }: KubeObject) => (spec as { status?: string }).status === 'PipelineRunPending';

const created = ({ metadata }: KubeObject) => Date.parse(metadata.creationTimestamp);

/** The runs of one Repository, oldest first. */
function runsOf({ store, arrivals }: Service, { namespace, name }: Repository): KubeObject[] {
  const arrival = ({ metadata }: KubeObject) => arrivals.get(metadata.uid) ?? 0;
  return store
    .list(RESOURCES.pipelineruns, namespace)
    .filter((run) => isOurs(run) && label(run, 'repository') === name)
    .sort((a, b) => arrival(a) - arrival(b) || created(a) - created(b));
}

/** Writes `state` as label and annotation. */
export function setState(
  service: Service,
  run: KubeObject,
  state: 'queued' | 'started' | 'completed',
  more: Record<string, string> = {},
): void {
  editRun(service, run, ({ metadata }) => {
    metadata.labels = { ...metadata.labels, ...prefixed({ state }) };
    metadata.annotations = { ...metadata.annotations, ...prefixed({ state, ...more }) };
  });
}

/** A run that was created Pending waits for its turn (konflux-and-gitlab.md §1.4). */
export async function enqueue(service: Service, repository: Repository, run: KubeObject): Promise<void> {
  service.arrivals.set(run.metadata.uid, service.arrivals.size + 1);
  setState(service, run, 'queued', { 'execution-order': `${repository.namespace}/${run.metadata.name}` });
  await postStatus(service, repository, subjectOf(run), note(run, 'original-prname'), {
    state: waitingState(service),
    description: '',
    run: run.metadata.name,
  });
  await advance(service, repository);
}

/** Lets the oldest waiting runs go, as many as the limit has room for. */
export async function advance(service: Service, repository: Repository): Promise<void> {
  if (service.faults.held) return;
  const all = runsOf(service, repository).filter((run) => !isDone(run));
  const room = (repository.concurrencyLimit ?? Number.POSITIVE_INFINITY) - all.filter((run) => !pending(run)).length;
  const next = all.filter((run) => pending(run) && label(run, 'state') === 'queued').slice(0, Math.max(0, room));
  for (const run of next) {
    editRun(service, run, (copy) => {
      copy.spec = { ...(copy.spec as object), status: undefined };
    });
    setState(service, run, 'started', startedNotes(service, repository, run.metadata.name));
  }
  for (const run of next) {
    await postStatus(service, repository, subjectOf(run), note(run, 'original-prname'), {
      state: 'running',
      description: '',
      run: run.metadata.name,
    });
  }
}

/** Cancels what runs: sets `CancelledRunFinally`; a run that is over stays as it is. */
export function cancel(service: Service, run: KubeObject): void {
  if (isDone(run)) return;
  editRun(service, run, (copy) => {
    copy.spec = { ...(copy.spec as object), status: 'CancelledRunFinally' };
  });
}

/** A new run with cancel-in-progress ends the older ones of its template and source branch (konflux-and-gitlab.md §1.5). */
export function supersede(service: Service, run: KubeObject): void {
  if (run.metadata.annotations?.[`${PAC}cancel-in-progress`] !== 'true') return;
  const equal = (other: KubeObject, key: string) => note(other, key) === note(run, key);
  for (const other of service.store.list(RESOURCES.pipelineruns, run.metadata.namespace)) {
    const same = ['repo-url', 'original-prname', 'source-branch', 'pull-request'].every((key) => equal(other, key));
    if (isOurs(other) && same && other.metadata.uid !== run.metadata.uid) cancel(service, other);
  }
}

/** What `max-keep-runs` of a finished run lets go: other finished runs of its template beyond the N newest. */
export function prune({ store }: Service, finished: KubeObject): void {
  const keep = Number(note(finished, 'max-keep-runs') ?? Number.NaN);
  if (!Number.isInteger(keep) || keep < 0) return;
  const done = store
    .list(RESOURCES.pipelineruns, finished.metadata.namespace)
    .filter((run) => isOurs(run) && isDone(run) && label(run, 'state') === 'completed')
    .filter((run) => ['repository', 'original-prname'].every((key) => label(run, key) === label(finished, key)))
    .sort((a, b) => created(b) - created(a) || Number(b.metadata.resourceVersion) - Number(a.metadata.resourceVersion));
  for (const { metadata } of done.slice(keep)) {
    if (metadata.uid !== finished.metadata.uid) store.remove(RESOURCES.pipelineruns, metadata);
  }
}
