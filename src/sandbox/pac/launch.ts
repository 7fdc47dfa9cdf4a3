import { randomBytes } from 'node:crypto';
import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { Refusal } from '../kubernetes/refusal.ts';
import { referenceOf } from '../kubernetes/store.ts';
import type { Event } from './hook.ts';
import { cleanLabel, MANAGED_BY, MANAGER, PAC, prefixed, runMetadata } from './metadata.ts';
import { enqueue, supersede } from './queue.ts';
import type { Repository } from './repository.ts';
import { editRun, emitEvent, FAILED, postStatus, type Service, startedNotes } from './service.ts';
import { type Document, render } from './template.ts';

const VERSION = { '0.41': 'v0.41.1', '0.43': 'v0.43.0' } as const;

/** Creates the run of one template with its git Secret, and says so on the commit. */
export async function launch(
  service: Service,
  event: Event,
  repository: Repository,
  template: string,
  document: Document,
): Promise<void> {
  const secret = createGitSecret(service, event, repository);
  const secretName = secret.metadata.name;
  const rendered = JSON.parse(
    render(JSON.stringify(document), new Map([['git_auth_secret', secretName]]), undefined),
  ) as Document;
  const { labels, annotations } = runMetadata(event, repository, template, VERSION[service.release]);
  const own = rendered.metadata.annotations ?? {};
  const cancels = own[`${PAC}cancel-in-progress`];
  const queued = repository.concurrencyLimit !== undefined || service.faults.held;
  const subject = { ...event };
  let run: KubeObject;
  try {
    run = service.store.create(RESOURCES.pipelineruns, {
      metadata: {
        generateName: `${template}-`,
        namespace: repository.namespace,
        labels: {
          ...rendered.metadata.labels,
          ...labels,
          ...(cancels === undefined ? {} : { [`${PAC}cancel-in-progress`]: cleanLabel(cancels) }),
        },
        annotations: { ...own, ...annotations, ...prefixed({ 'git-auth-secret': secretName }) },
      },
      spec: { ...rendered.spec, ...(queued ? { status: 'PipelineRunPending' } : {}) },
    });
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    service.store.remove(RESOURCES.secrets, referenceOf(secret));
    emitEvent(service, repository, 'RepositoryCreatePipelineRun', `failed to create PipelineRun: ${thrown.message}`);
    await postStatus(service, repository, subject, template, FAILED);
    return;
  }
  const { name, uid } = run.metadata;
  service.store.edit(RESOURCES.secrets, referenceOf(secret), ({ metadata }) => {
    metadata.ownerReferences = [{ apiVersion: 'tekton.dev/v1', kind: 'PipelineRun', name, uid }];
  });
  service.log.info({ run: name, sha: event.sha }, 'created');
  if (repository.concurrencyLimit === undefined) supersede(service, run);
  else if (cancels === 'true') {
    emitEvent(service, repository, 'CancelInProgress', 'cancel in progress is not supported with concurrency limit');
  }
  if (queued) {
    await enqueue(service, repository, run);
    return;
  }
  await postStatus(service, repository, subject, template, {
    state: 'running',
    description: '',
    run: name,
  });
  editRun(service, run, (copy) => {
    copy.metadata.annotations = { ...copy.metadata.annotations, ...prefixed(startedNotes(service, repository, name)) };
  });
}

function createGitSecret({ store }: Service, event: Event, { namespace, token }: Repository): KubeObject {
  const url = new URL(event.sourceUrl);
  const [org, name] = [event.projectPath.split('/').slice(0, -1).join('/'), event.projectPath.split('/').at(-1) ?? ''];
  return store.create(RESOURCES.secrets, {
    metadata: {
      name: `pac-gitauth-${randomBytes(4).toString('hex').slice(0, 6)}`,
      namespace,
      labels: {
        [MANAGED_BY]: MANAGER,
        ...prefixed({ 'url-org': cleanLabel(org), 'url-repository': cleanLabel(name) }),
      },
    },
    type: 'Opaque',
    stringData: {
      '.git-credentials': `${url.protocol}//git:${encodeURIComponent(token)}@${url.host}${url.pathname}`,
      '.gitconfig': `[credential "${url.origin}"]\n\thelper=store\n`,
      'git-provider-token': token,
    },
  });
}
