import { setTimeout as sleep } from 'node:timers/promises';
import type { Change } from '../kubernetes/history.ts';
import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { isDone, succeeded } from '../tekton/conditions.ts';
import type { CommitStatus } from './gitlab.ts';
import { isOurs, label, note } from './metadata.ts';
import { advance, prune, setState } from './queue.ts';
import { type Repository, repositoryFor } from './repository.ts';
import { emitEvent, gitlabOf, postStatus, type Service, subjectOf } from './service.ts';

/**
 * Follows our runs to their end: final status a moment after the condition, `state=completed`, the next of the queue,
 * pruning (konflux-and-gitlab.md §1.4, §1.5, §1.7).
 *
 * @returns ends the watching
 */
export function startWatcher(service: Service, background: (work: Promise<void>) => void): () => void {
  const reported = new Set<string>();
  const onRun = (run: KubeObject): void => {
    if (!isOurs(run) || !isDone(run) || label(run, 'state') === 'completed' || reported.has(run.metadata.uid)) return;
    reported.add(run.metadata.uid);
    background(finish(service, run));
  };
  const onChange = ({ resource, type, object }: Change): void => {
    if (resource !== RESOURCES.pipelineruns || !isOurs(object)) return;
    if (type !== 'DELETED') onRun(object);
    else if (!isDone(object)) background(move(service, object));
  };
  const moveAll = () => {
    const urls = new Set(
      service.store
        .list(RESOURCES.pipelineruns)
        .filter(isOurs)
        .map((run) => note(run, 'repo-url') ?? ''),
    );
    for (const url of urls) {
      const repository = repositoryFor(service.store, url);
      if (repository) background(advance(service, repository));
    }
  };
  service.faults.onRelease(moveAll);
  for (const run of service.store.list(RESOURCES.pipelineruns)) onRun(run);
  moveAll();
  return service.store.subscribe(onChange);
}

async function move(service: Service, run: KubeObject): Promise<void> {
  const repository = repositoryFor(service.store, note(run, 'repo-url') ?? '');
  if (repository) await advance(service, repository);
}

async function finish(service: Service, run: KubeObject): Promise<void> {
  await sleep(service.statusLag, undefined, { signal: service.signal });
  const repository = repositoryFor(service.store, note(run, 'repo-url') ?? '');
  if (!repository) return;
  await say(service, repository, run);
  setState(service, run, 'completed');
  await advance(service, repository);
  prune(service, run);
}

async function say(service: Service, repository: Repository, run: KubeObject): Promise<void> {
  const subject = subjectOf(run);
  await gitlabOf(service, repository).project(subject.targetProjectId);
  const { status, reason } = succeeded(run) ?? {};
  const [state, description]: [CommitStatus['state'], string] =
    status === 'True'
      ? ['success', 'successfully validated your commit']
      : reason === 'Cancelled'
        ? ['canceled', 'cancelled validating this commit']
        : ['failed', 'failed'];
  await postStatus(service, repository, subject, note(run, 'original-prname'), {
    state,
    description,
    run: run.metadata.name,
  });
  const event = state === 'success' ? 'PipelineRunSucceeded' : 'PipelineRunFailed';
  emitEvent(service, repository, event, `PipelineRun ${run.metadata.name} ended: ${state}`);
}
